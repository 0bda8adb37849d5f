"""Declares the ways to classify."""

from __future__ import annotations

from collections.abc import Iterable

from pcclip import hookimpl
from pcclip.specs import StrategySpec


@hookimpl
def pcclip_strategies() -> Iterable[StrategySpec]:
    for name, target, options, summary in (
        ("zero-shot", "zero_shot:ZeroShot", "ZeroShotOptions", "nearest class prompt, of one template or many"),
        (
            "comparative",
            "comparative:ComparativePrompting",
            "ComparativeOptions",
            "class prompts moved by described differences between classes (the paper's)",
        ),
        ("extended", "extended:Extended", "ExtendedOptions", "class prompts that a description of the class extends"),
        ("descriptions", "descriptions:Descriptions", "DescriptionsOptions", "mean cosine with features of a class"),
        ("cupl", "cupl:Cupl", "CuplOptions", "mean of sentences about a class"),
        ("waffle", "waffle:Waffle", "WaffleOptions", "mean cosine with random features: the control"),
        ("fudd", "fudd:Fudd", "FuddOptions", "the nearest classes again, by what tells them apart"),
        ("probe", "probe:Probe", "ProbeOptions", "logistic regression on labelled pictures"),
    ):
        yield StrategySpec(
            name=name,
            target=f"pcclip_strategies.{target}",
            options=f"pcclip_strategies.options:{options}",
            summary=summary,
        )
