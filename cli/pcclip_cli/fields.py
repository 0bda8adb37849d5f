"""Click options from the fields of a pydantic model, with their bounds, defaults and descriptions."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pcclip_cli.numeric import AnyNumber, Integer, Number

_WIDEST = 40  # characters of choices that stand beside a flag; more go into its text


def numbers(value: str | tuple[float, ...]) -> tuple[float, ...]:
    """Return the numbers of a flag's value, which has commas between them: ``0,0.5,1``."""
    if not isinstance(value, str):
        return value
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is no list of numbers with commas between, such as 0,0.5,1.") from None


def options_of(model: type[BaseModel], prefix: str = "", leave_out: Iterable[str] = ()) -> list[click.Option]:
    """Return one option a field, named ``--PREFIX-field-name``; fields that are mappings get none."""
    skipped = set(leave_out)
    return [
        option(name, info, prefix)
        for name, info in model.model_fields.items()
        if name not in skipped and not _is_mapping(_plain(info.annotation))
    ]


def option(name: str, info: FieldInfo, prefix: str = "", **settings: Any) -> click.Option:
    """Return the click option of one field.

    Args:
        settings: arguments of :class:`click.Option` that the field does not decide, such as ``shell_complete``.
    """
    annotation = _plain(info.annotation)
    flag = "-".join(part for part in (prefix, name) if part).replace("_", "-")
    declaration = f"--{flag}"
    parameter = "_".join(part for part in (prefix, name) if part).replace("-", "_")  # click's own would be lower case
    settings |= {"help": _sentence(info.description or ""), "required": info.is_required()}
    if not info.is_required() and info.default is not None:
        default = info.get_default(call_default_factory=True)
        settings |= {"default": default.value if isinstance(default, Enum) else default, "show_default": True}
    if annotation is bool:
        if info.default is not None:  # None is neither on nor off; and click's own words repeat the flag's name
            switch = "on" if info.default else "off"
            settings |= {"show_default": False, "help": f"{settings['help']}  [default: {switch}]"}
        return click.Option([parameter, f"{declaration}/--no-{flag}"], **{"default": None, **settings})
    if typing.get_origin(annotation) in (list, tuple, set, frozenset):
        items = typing.get_args(annotation)
        settings["show_default"] = bool(settings.get("default"))
        if typing.get_origin(annotation) is tuple and items[-1] is not Ellipsis:
            return click.Option([parameter, declaration], type=tuple(_type(item, info) for item in items), **settings)
        if items[0] is float:
            return click.Option([parameter, declaration], type=numbers, metavar="NUMBERS", **settings)
        return click.Option([parameter, declaration], type=_type(items[0], info), multiple=True, **settings)
    kind = _type(annotation, info)
    if isinstance(kind, click.Choice) and len("|".join(map(str, kind.choices))) > _WIDEST:
        listed = ", ".join(map(str, kind.choices))
        settings |= {"metavar": name.upper(), "help": f"{settings['help']} One of: {listed}."}
    return click.Option([parameter, declaration], type=kind, **settings)


def given(ctx: click.Context, names: Iterable[str], prefix: str = "") -> dict[str, Any]:
    """Return the values that the user gave for fields, leaving defaults to the model."""
    found: dict[str, Any] = {}
    sources = (click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.ENVIRONMENT)
    for name in names:
        parameter = "_".join(part for part in (prefix, name) if part)
        if parameter in ctx.params and ctx.get_parameter_source(parameter) in sources:
            value = ctx.params[parameter]
            found[name] = list(value) if isinstance(value, tuple) else value
    return found


def _sentence(text: str) -> str:
    """Return a field's description as click's own help texts are written: a capital in front, a full stop behind."""
    first = text.split(" ", 1)[0]
    if first.islower() and first.replace("-", "").isalpha():  # no value or name, such as "auto:" or "n_ctx"
        text = text[0].upper() + text[1:]
    return f"{text}." if text and text[-1] not in ".!?" else text


def _is_mapping(annotation: Any) -> bool:
    """Return whether a field holds a mapping or a model, which have no form on the command line."""
    kind = typing.get_origin(annotation) or annotation
    return isinstance(kind, type) and issubclass(kind, Mapping | BaseModel)


def _plain(annotation: Any) -> Any:
    """Return the annotation without ``| None``."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        parts = [part for part in typing.get_args(annotation) if part is not type(None)]
        return parts[0] if len(parts) == 1 else str
    return annotation


def _type(annotation: Any, info: FieldInfo) -> Any:
    if typing.get_origin(annotation) is Literal:
        return click.Choice(typing.get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return click.Choice([str(member.value) for member in annotation])
    if annotation is Path:
        return click.Path(path_type=Path)
    if annotation in (int, float):
        bounds = _bounds(info)
        if annotation is int:
            return Integer(**bounds) if bounds else click.INT
        return Number(**bounds) if bounds else AnyNumber()
    return str


def _bounds(info: FieldInfo) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for constraint in info.metadata:
        for attribute, bound, is_open in (
            ("ge", "min", False),
            ("gt", "min", True),
            ("le", "max", False),
            ("lt", "max", True),
        ):
            value = getattr(constraint, attribute, None)
            if value is not None:
                found[bound] = value
                if is_open:
                    found[f"{bound}_open"] = True
    return found
