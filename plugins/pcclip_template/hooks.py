"""Declares ``template``, comparatives by rule."""

from __future__ import annotations

from collections.abc import Iterable

from pcclip import hookimpl
from pcclip.specs import CaptionerSpec


@hookimpl
def pcclip_captioners() -> Iterable[CaptionerSpec]:
    yield CaptionerSpec(
        name="template",
        target="pcclip_template.captioner:TemplateCaptioner",
        summary="by rule, no language model: the control, and the fast path",
    )
