"""Pictures for the report: pairs that models tell apart or mistake, and pictures in the order of an attribute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pcclip.evaluation.document import PairExample, Picture, RankingExample
from pcclip.evaluation.pairing import attribute_values
from pcclip.evaluation.view import Found, ReadyTask
from pcclip.types import Example

PAIRS = 4  # of each kind: most improved, most worsened, and any
STRIP = 12  # pictures of a ranking


def pair_examples(ready: ReadyTask, found: Mapping[str, Found], baseline: str | None) -> list[PairExample]:
    """Return pairs of the first draw: what the last model improved most on the first, what it worsened, and others."""
    shown = []
    for pairs in ready.pairs:
        cosines = {
            model: one.pair_cosines[pairs.part] for model, one in found.items() if pairs.part in one.pair_cosines
        }
        if not cosines:
            continue
        rows = np.flatnonzero(pairs.seeds == pairs.seeds[0])
        models = list(cosines)
        before = cosines.get(baseline or models[0], cosines[models[0]])
        change = (cosines[models[-1]] - before)[rows]
        order = rows[np.argsort(-change, kind="stable")]
        chosen = dict.fromkeys([*order[:PAIRS].tolist(), *order[::-1][:PAIRS].tolist(), *rows[:PAIRS].tolist()])
        for row in chosen:
            shown.append(
                PairExample(
                    task=ready.task.name,
                    first=_picture(ready.task.examples[pairs.first[row]]),
                    second=_picture(ready.task.examples[pairs.second[row]]),
                    text=pairs.texts[row],
                    cosines={model: round(float(values[row]), 4) for model, values in cosines.items()},
                )
            )
    return shown


def ranking_examples(ready: ReadyTask, found: Mapping[str, Found]) -> list[RankingExample]:
    """Return, for each attribute, pictures spread evenly over its values in the order of each model."""
    shown = []
    for attribute in ready.task.attributes:
        scores = {m: f.ranking_scores[attribute.name] for m, f in found.items() if attribute.name in f.ranking_scores}
        if not scores:
            continue
        rows, values = attribute_values(ready.task.examples, attribute.name)
        by_value = np.argsort(values, kind="stable")
        some = by_value[np.unique(np.linspace(0, len(rows) - 1, STRIP).round().astype(int))]
        examples = {int(place): ready.task.examples[rows[place]] for place in some}
        shown.append(
            RankingExample(
                task=ready.task.name,
                attribute=attribute.name,
                text=attribute.phrase or attribute.more,
                pictures={example.id: _picture(example) for example in examples.values()},
                values={example.id: float(values[place]) for place, example in examples.items()},
                orders={model: _order(of, examples) for model, of in scores.items()},
            )
        )
    return shown


def _order(
    scores: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]], examples: Mapping[int, Example]
) -> tuple[str, ...]:
    return tuple(examples[place].id for place in sorted(examples, key=lambda place: -scores[place]))


def _picture(example: Example) -> Picture:
    path = str(example.image.absolute())
    return Picture(id=example.id, path=path, caption=example.caption, label=example.label)
