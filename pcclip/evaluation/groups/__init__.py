"""The groups of measures that a task can ask for, each a function of a view. A new group is one more row here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pcclip.evaluation.groups.composed import composed
from pcclip.evaluation.groups.difference import difference
from pcclip.evaluation.groups.geometry import geometry
from pcclip.evaluation.groups.probe import probe
from pcclip.evaluation.groups.ranking import ranking
from pcclip.evaluation.groups.retrieval import retrieval
from pcclip.evaluation.groups.strategies import strategies
from pcclip.evaluation.groups.zero_shot import zero_shot
from pcclip.evaluation.view import Estimates, View

Group = Callable[[View], Estimates]

GROUPS: Mapping[str, Group] = {
    "difference": difference,
    "ranking": ranking,
    "zero-shot": zero_shot,
    "strategies": strategies,
    "retrieval": retrieval,
    "geometry": geometry,
    "composed": composed,
    "probe": probe,
}
