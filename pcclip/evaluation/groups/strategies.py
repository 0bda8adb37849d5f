"""Strategies of classification, and what comparative prompting gains over zero-shot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from pcclip import boundary
from pcclip.errors import DataError, PcclipError
from pcclip.evaluation.document import Explanation
from pcclip.evaluation.groups.zero_shot import labelled_rows, note_confusion
from pcclip.evaluation.pairing import Rows
from pcclip.evaluation.view import Estimates, View
from pcclip.explaining import explain
from pcclip.interfaces import Classifier
from pcclip.metrics.statistics import Floats
from pcclip.plugins import registry
from pcclip.types import ClassKnowledge


def strategies(view: View) -> Estimates:
    """Take the top-1 accuracy of each strategy, and the gain of ``comparative`` overall and by described pair.

    A strategy with chance in it is taken over several seeds; its confusions and explanations are of the first.
    """
    if not view.settings.strategy:
        raise DataError("no strategy was asked for", "Name one or more: --strategy comparative,fudd")
    rows = labelled_rows(view)
    labels, ready = view.labels[rows], view.ready
    names = tuple(map(ready.words, ready.classes))
    knowledge = ClassKnowledge(names, ready.confusable, ready.descriptions, view.labelled_support())
    for name in view.settings.strategy:
        hits: list[Floats] = []
        try:
            for options in _draws(view, name):
                fitted = boundary.fit(registry().strategy(name, options), view.embedder, knowledge)
                found = fitted.predict(view.images[rows]).indices[:, 0]
                if not hits:
                    classifier, predicted = fitted, found
                hits.append((found == labels).astype(float))
        except PcclipError as error:
            view.problem("strategy_top1", error.line, name)
            continue
        view.found.notes += [f"{view.name}, {name}: {note}" for note in classifier.notes]
        right = np.mean(hits, axis=0)
        seeds = tuple(float(of.mean()) for of in hits) if len(hits) > 1 else ()
        yield replace(view.over_pictures("strategy_top1", name, right, rows), seeds=seeds)
        note_confusion(view, name, predicted, labels)
        if classifier.baseline is not None:
            _explain(view, name, classifier, rows)
            if name == "comparative":
                yield from _gains(
                    view, right - (classifier.baseline.predict(view.images[rows]).indices[:, 0] == labels)
                )


def _gains(view: View, gain: Floats) -> Estimates:
    """Yield what comparative prompting gains over the same prompts unmoved: overall, and on each described pair."""
    rows = labelled_rows(view)
    yield view.over_pictures("comparative_gain", "", gain, rows)
    names = tuple(map(view.ready.words, view.ready.classes))
    described = dict.fromkeys(tuple(sorted((one.first, one.second))) for one in view.ready.confusable)
    for a, b in described:
        of = np.isin(view.labels[rows], [names.index(a), names.index(b)])
        if of.any():
            yield view.over_pictures("comparative_gain", f"{a}|{b}", gain[of], rows[of])


def _explain(view: View, strategy: str, classifier: Classifier, rows: Rows) -> None:
    words = [view.ready.words(view.ready.classes[place]) for place in view.labels[rows]]
    for pair in explain(classifier, view.ready.confusable, view.images[rows], words).pairs:
        view.found.explanations.append(
            Explanation(
                task=view.task.name,
                model=view.name,
                strategy=strategy,
                first=pair.first,
                second=pair.second,
                text=pair.texts[0],
                moved=pair.to_first + pair.to_second,
                moved_rightly=pair.rightly,
            )
        )


def _draws(view: View, name: str) -> Iterator[dict[str, Any]]:
    """Yield the options of each draw of a strategy: one, or a seed each from the user's on."""
    options = _options(view, name)
    number = registry().target("strategy", name).draws
    if number == 1:
        yield options
        return
    first = int(options.get("seed", 0))
    for seed in range(first, first + number):
        yield {**options, "seed": seed}


def _options(view: View, name: str) -> dict[str, Any]:
    """Return the options of a strategy: the user's, and the task's class prompt where it takes one."""
    model = registry().options_model("strategy", name)
    prompt = None if model is None else model.model_fields.get("template")
    given = view.settings.strategy_options.get(name, {})
    takes_prompt = prompt is not None and "{description}" not in str(prompt.default) and "templates" not in given
    return {
        **({"template": view.task.template} if takes_prompt else {}),
        **view.settings.strategy_options.get(name, {}),
    }
