"""Strategies of classification, and what comparative prompting gains over zero-shot."""

from __future__ import annotations

from typing import Any

import numpy as np

from pcclip.errors import PcclipError
from pcclip.evaluation.groups.zero_shot import labelled_rows, note_confusion
from pcclip.evaluation.view import Estimates, View
from pcclip.plugins import registry
from pcclip.types import ClassKnowledge


def strategies(view: View) -> Estimates:
    """Take the top-1 accuracy of each strategy, and the gain of ``comparative`` overall and by described pair."""
    rows = labelled_rows(view)
    labels, ready = view.labels[rows], view.ready
    knowledge = ClassKnowledge(tuple(map(ready.words, ready.classes)), ready.confusable)
    plain = (view.images[rows] @ view.class_prompts().T).argmax(axis=1) == labels
    for name in view.settings.strategy:
        try:
            classifier = registry().strategy(name, _options(view, name)).fit(view.embedder, knowledge)
            scores = classifier.scores(view.images[rows])
        except PcclipError as error:
            view.problem("strategy_top1", str(error), name)
            continue
        right = scores.argmax(axis=1) == labels
        yield view.over_pictures("strategy_top1", name, right.astype(float), rows)
        note_confusion(view, name, scores, labels)
        if name == "comparative":
            gain = right.astype(float) - plain
            yield view.over_pictures("comparative_gain", "", gain, rows)
            for a, b in sorted({tuple(sorted((one.first, one.second))) for one in ready.confusable}):
                of = np.isin(labels, [knowledge.names.index(a), knowledge.names.index(b)])
                if of.any():
                    yield view.over_pictures("comparative_gain", f"{a}|{b}", gain[of], rows[of])


def _options(view: View, name: str) -> dict[str, Any]:
    """Return the options of a strategy: the user's, and the task's class prompt where it takes one."""
    model = registry().options_model("strategy", name)
    takes_prompt = model is not None and "template" in model.model_fields
    return {
        **({"template": view.task.template} if takes_prompt else {}),
        **view.settings.strategy_options.get(name, {}),
    }
