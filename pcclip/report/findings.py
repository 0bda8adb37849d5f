"""Looks things up in an evaluation: which models are compared, what was found for each, and whether it is better."""

from __future__ import annotations

from collections.abc import Iterable

from pcclip.evaluation.document import Compared, Evaluation, ModelFacts, Result
from pcclip.evaluation.effects import Effect, effect


class Findings:
    """An evaluation with its parts by key."""

    def __init__(self, evaluation: Evaluation) -> None:
        self.evaluation = evaluation
        self.baseline = next((model for model in evaluation.models if model.baseline), None)
        self._results = {(row.task, row.measure, row.part, row.model): row for row in evaluation.results}
        self._compared = {(row.task, row.measure, row.part, row.model): row for row in evaluation.comparisons}

    @property
    def models(self) -> tuple[ModelFacts, ...]:
        """The baseline first, then the others in their order."""
        return tuple(sorted(self.evaluation.models, key=lambda model: not model.baseline))

    @property
    def others(self) -> tuple[ModelFacts, ...]:
        """The models that are compared with the baseline; none where there is no baseline."""
        return tuple(model for model in self.models if not model.baseline) if self.baseline else ()

    def result(self, task: str, measure: str, part: str, model: str) -> Result | None:
        """Return what was measured, or None."""
        return self._results.get((task, measure, part, model))

    def compared(self, task: str, measure: str, part: str, model: str) -> Compared | None:
        """Return the paired comparison of a model with the baseline, or None."""
        return self._compared.get((task, measure, part, model))

    def measured(self, task: str) -> tuple[tuple[str, str], ...]:
        """Return every (measure, part) of a task, in the order of the results."""
        return tuple(dict.fromkeys((row.measure, row.part) for row in self.evaluation.results if row.task == task))

    def effect(self, compared: Compared) -> Effect:
        """Return whether the difference is one that chance does not explain, and which way it goes."""
        result = self.result(compared.task, compared.measure, compared.part, compared.model)
        return effect(compared, result.higher_is_better if result else True)

    def spread(self, model: str, keys: Iterable[tuple[str, str, str]]) -> list[Compared]:
        """Return the comparisons of a model for (task, measure, part) keys, where there are any."""
        found = (self.compared(*key, model) for key in keys)
        return [row for row in found if row is not None]
