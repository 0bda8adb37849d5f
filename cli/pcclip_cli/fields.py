"""Click options from the fields of a pydantic model, with their bounds, defaults and descriptions."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo


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
        if name not in skipped and typing.get_origin(_plain(info.annotation)) is not dict
    ]


def option(name: str, info: FieldInfo, prefix: str = "") -> click.Option:
    """Return the click option of one field."""
    annotation = _plain(info.annotation)
    flag = "-".join(part for part in (prefix, name) if part).replace("_", "-")
    declaration = f"--{flag}"
    required = info.is_required()
    settings: dict[str, Any] = {"help": info.description or "", "required": required}
    if not required and info.default is not None:
        settings |= {"default": info.get_default(call_default_factory=True), "show_default": True}
    if annotation is bool:
        settings["show_default"] = "on" if info.default else "off"  # click's own text repeats the flag's name
        return click.Option([f"{declaration}/--no-{flag}"], **settings)
    if typing.get_origin(annotation) in (list, tuple):
        item = (typing.get_args(annotation) or (str,))[0]
        if item is float:
            settings["show_default"] = bool(settings.get("default"))
            return click.Option([declaration], type=numbers, metavar="NUMBERS", **settings)
        return click.Option([declaration], type=_type(item, info), multiple=True, **settings)
    return click.Option([declaration], type=_type(annotation, info), **settings)


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


def _plain(annotation: Any) -> Any:
    """Return the annotation without ``| None``."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        parts = [part for part in typing.get_args(annotation) if part is not type(None)]
        return parts[0] if len(parts) == 1 else str
    return annotation


def _type(annotation: Any, info: FieldInfo) -> Any:
    if typing.get_origin(annotation) is Literal:
        return click.Choice([str(value) for value in typing.get_args(annotation)])
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return click.Choice([str(member.value) for member in annotation])
    if annotation is Path:
        return click.Path(path_type=Path)
    if annotation in (int, float):
        bounds = _bounds(info)
        kind = click.IntRange if annotation is int else click.FloatRange
        return kind(**bounds) if bounds else annotation
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
