"""Declares the captioner ``distinct``."""

from __future__ import annotations

from collections.abc import Iterable

from pcclip import hookimpl
from pcclip.specs import CaptionerSpec


@hookimpl
def pcclip_captioners() -> Iterable[CaptionerSpec]:
    yield CaptionerSpec(
        name="distinct",
        target="pcclip_distinct.captioner:Distinct",
        options="pcclip_distinct.options:DistinctOptions",
        summary="by rule: what both captions say is left out",
        api=1,
    )
