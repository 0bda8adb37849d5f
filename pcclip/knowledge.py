"""What a strategy needs to know of classes, and having a captioner write what is missing of it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pcclip.descriptions import write_descriptions
from pcclip.differences import write_differences
from pcclip.errors import PluginError
from pcclip.interfaces import Embedder
from pcclip.plugins import registry
from pcclip.progress import Progress
from pcclip.types import ClassKnowledge, Confusable, FloatArray

log = logging.getLogger(__name__)
_WORDS = {"comparatives": "differences", "descriptions": "descriptions", "support": "labelled pictures"}


def to_write(strategy: str, brought: Collection[str] = ()) -> frozenset[str]:
    """Return what a captioner can write for a strategy: ``comparatives``, ``descriptions``, both, or nothing.

    A strategy that declares no needs may still read differences, so they count as wanted then.

    Args:
        brought: which of them is there already.
    """
    needs: frozenset[str] = registry().target("strategy", strategy).needs & {"comparatives", "descriptions"}
    return (needs or frozenset({"comparatives"})) - frozenset(brought)


def unread(strategies: Sequence[str], brought: Collection[str]) -> list[str]:
    """Return a sentence for each field of what is known of classes that none of the strategies reads.

    Args:
        brought: fields of :class:`pcclip.types.ClassKnowledge` that are there.
    """
    asked = f"the strategy {' or '.join(map(repr, strategies))} does not read them"
    if not strategies:
        asked = "no strategy is taken"
    said = []
    for field, words in _WORDS.items():
        if field in brought and not any(field in _read_by(name) for name in strategies):
            readers = [name for name in registry().names("strategy") if field in _read_by(name)]
            others = f"; these do: {', '.join(readers)}" if readers else ""
            said.append(f"{words} are given, and {asked}{others}")
    return said


def warn_of_unread(strategies: Sequence[str], brought: Collection[str]) -> None:
    """Log what :func:`unread` says."""
    for sentence in unread(strategies, brought):
        log.warning("%s", sentence)


def _read_by(strategy: str) -> frozenset[str]:
    try:
        found = registry().target("strategy", strategy)
    except PluginError:  # one that is not installed whole reads nothing
        return frozenset()
    return frozenset(found.needs | found.reads)


def written(
    strategy: str,
    knowledge: ClassKnowledge,
    embedder: Embedder,
    captioner: str,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    *,
    pairs: int = 3,
    confusable: Confusable = "similar",
    unlabelled: FloatArray | None = None,
) -> ClassKnowledge:
    """Return ``knowledge`` with what :func:`to_write` names, written by a captioner.

    Args:
        pairs: how many pairs of classes are described.
        confusable, unlabelled: how they are chosen, see :func:`pcclip.confusable.confusable_pairs`; the labelled
            pictures are those of ``knowledge``.

    Raises:
        UsageError: the captioner writes no such thing, or what ``confusable`` reads is missing.
        DataError: the captioner had nothing usable to say.
    """
    wanted = to_write(strategy, [name for name in ("comparatives", "descriptions") if getattr(knowledge, name)])
    if "descriptions" in wanted:
        knowledge = replace(knowledge, descriptions=write_descriptions(knowledge.names, captioner, options, progress))
    if "comparatives" in wanted:
        found = write_differences(
            embedder,
            knowledge.names,
            pairs,
            captioner,
            options,
            progress,
            confusable=confusable,
            unlabelled=unlabelled,
            support=knowledge.support,
        )
        knowledge = replace(knowledge, comparatives=found)
    return knowledge
