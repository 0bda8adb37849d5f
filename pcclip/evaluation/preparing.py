"""Make a task ready: readable pictures that trained no model, pairs of them, and the texts of the pairs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pcclip.comparatives import ComparativeStore
from pcclip.confusable import confusable_pairs, embed_prompts
from pcclip.describe import describe
from pcclip.descriptions import read_descriptions, write_descriptions
from pcclip.differences import describe_classes, read_differences
from pcclip.embeddings import EmbeddedFiles, EmbeddingStore, embed
from pcclip.errors import DataError, PcclipError
from pcclip.evaluation.candidates import Candidate
from pcclip.evaluation.document import CaptionerFacts, Problem
from pcclip.evaluation.pairing import PairSet, attribute_pairs, class_pairs, draw, pair_set
from pcclip.evaluation.settings import EvaluateSettings
from pcclip.evaluation.view import ReadyTask, labelled
from pcclip.form import reverse
from pcclip.interfaces import Captioner, Embedder
from pcclip.knowledge import to_write
from pcclip.pairs import random_pairs
from pcclip.progress import Progress
from pcclip.suites import Protocol, Task
from pcclip.types import CaptionPair, ClassComparative, Comparative, Example, FloatArray, Rejection

log = logging.getLogger(__name__)
_CLASS_PAIRS = 200  # pairs of classes that are described for geometry, where there are more
_SHOWN = 3  # examples of a captioner's answers for each outcome


@dataclass(frozen=True, slots=True)
class Writer:
    """Who describes, and where the answers are kept."""

    captioner: Captioner
    store: ComparativeStore


@dataclass(frozen=True, slots=True)
class Ready:
    """A task made ready, and what the document says of the captioner's work on it."""

    task: ReadyTask
    captioner: CaptionerFacts | None


def prepare_task(
    task: Task,
    embedder: Embedder,
    candidates: Sequence[Candidate],
    writer: Writer,
    settings: EvaluateSettings,
    progress: Progress | None = None,
) -> Ready:
    """Make a task ready for all models.

    Args:
        embedder: of the first model; it says which pictures can be read, and which classes look alike to it.

    Raises:
        DataError: fewer than two test pictures are left; the message says what became of the others.
    """
    task = with_protocol(task, settings)
    with EmbeddingStore() as store:
        test = embed_examples(task.examples, embedder, store, progress)
        support = embed_examples(task.support, embedder, store, progress)
    task = replace(task, quarantined=(*task.quarantined, *test.quarantined, *support.quarantined))
    task = _without_training_pictures(task, test, support, candidates, settings)
    if len(task.examples) < 2:
        left = "1 test picture is" if task.examples else "no test picture is"
        raise DataError(f"{task.name}: {left} left; measures need at least two")
    wanted = set(task.measures)
    sets: list[PairSet] = []
    problems: list[Problem] = []
    facts = None
    if wanted & {"difference", "geometry", "composed"}:
        described = None
        try:
            described, facts = _caption_pairs(task, writer, settings.seed, progress)
        except PcclipError as error:  # a server that is not there, a model that does not load
            problems.append(_problem(task, "difference", error.line, "captions"))
        sets += [one for one in (described, class_pairs(task, settings.seed)) if one is not None]
        if facts is not None and facts.asked and described is None:
            message = f"{facts.captioner} described none of {facts.asked} pairs: {facts.rejected}"
            problems.append(Problem(task=task.name, measure="difference", part="captions", message=message))
        for attribute in task.attributes:
            found = attribute_pairs(task, attribute, settings.seed)
            if found is not None:
                sets.append(found)
            else:
                message = f"no two test pictures differ in the attribute {attribute.name!r}"
                problems.append(Problem(task=task.name, measure="difference", part=attribute.name, message=message))
    ready = ReadyTask(task, tuple(sets), problems=tuple(problems))
    if len(ready.classes) > 1:
        if wanted & {"geometry", "composed"}:
            ready = _with_comparatives(ready, writer, settings, progress)
        if "strategies" in wanted:
            ready = _with_confusable(ready, _Seen(embedder, *_rows(ready, test, support)), writer, settings, progress)
            ready = _with_descriptions(ready, settings, progress)
    return Ready(ready, facts)


def embed_examples(
    examples: Sequence[Example], embedder: Embedder, store: EmbeddingStore, progress: Progress | None
) -> EmbeddedFiles:
    """Embed examples' pictures through the cache."""
    return embed(
        embedder,
        [example.image for example in examples],
        ids=[example.id for example in examples],
        store=store,
        progress=progress,
    )


def with_protocol(task: Task, settings: EvaluateSettings) -> Task:
    """Return the task with the measures and the protocol that the settings ask for."""
    given = {name: getattr(settings, name) for name in ("seeds", "pictures", "pairs", "shots")}
    protocol: Protocol = replace(task.protocol, **{name: value for name, value in given.items() if value is not None})
    measures = tuple(name for name in task.measures if not settings.measures or name in settings.measures)
    return replace(task, protocol=protocol, measures=measures)


def _without_training_pictures(
    task: Task, test: EmbeddedFiles, support: EmbeddedFiles, candidates: Sequence[Candidate], settings: EvaluateSettings
) -> Task:
    """Return the task with readable pictures only, those that trained a model moved out of the test.

    They go beside the test pictures where the task has none there: as shots of a probe they give nothing away.

    Raises:
        DataError: training pictures are all there are.
    """
    notes = list(task.notes)
    for candidate in candidates:
        if candidate.unknown is not None:
            notes.append(
                f"Which pictures {candidate.name} was trained on cannot be told ({candidate.unknown}): "
                "its numbers may be of training pictures."
            )
    trained = frozenset().union(*(candidate.trained_on for candidate in candidates))
    is_training = [digest in trained for digest in test.digests]
    examples = [task.examples[position] for position in test.positions]
    if any(is_training):
        names = ", ".join(c.name for c in candidates if c.trained_on & frozenset(test.digests))
        count = f"{sum(is_training)} of {len(examples)} pictures of {task.name} trained {names}"
        if settings.test_on == "all":
            notes.append(f"{count}: the numbers are of training pictures too, and show no generalisation.")
            is_training = [False] * len(examples)
        elif len(examples) - sum(is_training) < 2:
            raise DataError(
                f"{count}; none are left to test on",
                "Models that held out different pictures are evaluated one by one; --test-on all measures anyway.",
            )
        else:
            notes.append(f"{count} and are left out of the test.")
    kept = [example for example, out in zip(examples, is_training, strict=True) if not out]
    beside = [example for example, out in zip(examples, is_training, strict=True) if out and example.label]
    tested = {digest for digest, out in zip(test.digests, is_training, strict=True) if not out}
    given = [(task.support[p], digest in tested) for p, digest in zip(support.positions, support.digests, strict=True)]
    if any(copy for _, copy in given):
        notes.append(f"{sum(copy for _, copy in given)} labelled pictures beside are test pictures too and left out.")
    supporting = [example for example, copy in given if not copy] or beside
    for note in notes[len(task.notes) :]:
        log.warning("%s", note)
    return replace(task, examples=tuple(kept), support=tuple(supporting), notes=tuple(notes))


def _caption_pairs(
    task: Task, writer: Writer, seed: int, progress: Progress | None
) -> tuple[PairSet | None, CaptionerFacts | None]:
    captions = [" ".join(example.caption.casefold().split()).rstrip(".") for example in task.examples]
    rows = [row for row, caption in enumerate(captions) if caption]
    drawn = draw(rows, lambda i, j: captions[i] != captions[j], task.protocol, seed)
    if not drawn:
        return None, None
    pairs = [CaptionPair(task.examples[one.first].caption, task.examples[one.second].caption) for one in drawn]
    answers = describe(pairs, writer.captioner, writer.store, progress=progress)
    kept, texts = [], []
    for one, answer in zip(drawn, answers, strict=True):
        if isinstance(answer, Comparative):
            turned = reverse(answer)
            kept.append(one)
            texts.append((answer.text, turned.text if turned else None))
    return pair_set("captions", kept, texts) if kept else None, _facts(task, writer.captioner, answers)


def _facts(task: Task, captioner: Captioner, answers: Sequence[Comparative | Rejection]) -> CaptionerFacts:
    distinct = {answer.pair.key: answer for answer in answers}.values()
    shown: dict[str, list[dict[str, str]]] = {}
    rejected: dict[str, int] = {}
    for answer in distinct:
        reason = answer.reason if isinstance(answer, Rejection) else ""
        if reason:
            rejected[reason] = rejected.get(reason, 0) + 1
        row = {"first": answer.pair.first, "second": answer.pair.second, "text": answer.text, "reason": reason}
        shown.setdefault(reason, []).append(row)
    return CaptionerFacts(
        task=task.name,
        captioner=captioner.label,
        asked=len(distinct),
        accepted=len(distinct) - sum(rejected.values()),
        rejected=rejected,
        examples=tuple(row for rows in shown.values() for row in rows[:_SHOWN]),
    )


def _with_comparatives(
    ready: ReadyTask, writer: Writer, settings: EvaluateSettings, progress: Progress | None
) -> ReadyTask:
    """Return the task with described pairs of classes, from its own texts or written by the captioner."""
    classes, task = ready.classes, ready.task
    pairs = list(random_pairs(len(classes), settings.seed))[:_CLASS_PAIRS]
    if task.class_difference is not None:
        both = [(classes[a], classes[b]) for i, j in pairs for a, b in ((i, j), (j, i))]
        texts = [(a, b, task.class_difference(a, b)) for a, b in both]
        return replace(ready, comparatives=tuple(ClassComparative(a, b, text) for a, b, text in texts if text))
    label = {ready.words(one): one for one in classes}
    if len(label) < len(classes):
        return ready  # the strategies, which need different words, say so
    try:
        found, failed = describe_classes([*label], pairs, writer.captioner, writer.store, progress)
    except PcclipError as error:
        return replace(ready, problems=(*ready.problems, _problem(task, "geometry", error.line, "classes")))
    renamed = tuple(ClassComparative(label[one.first], label[one.second], one.text) for one in found)
    return replace(ready, comparatives=renamed, problems=(*ready.problems, *_failures(task, "geometry", failed)))


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the first model makes of the pictures: it says for all models which classes are easily confused."""

    embedder: Embedder
    images: FloatArray
    support: FloatArray


def _with_confusable(
    ready: ReadyTask, seen: _Seen, writer: Writer, settings: EvaluateSettings, progress: Progress | None
) -> ReadyTask:
    """Return the task with easily confused classes described, the same for all models."""
    if not _needed(settings, "comparatives"):
        return ready
    task = ready.task
    names = [ready.words(label) for label in ready.classes]
    try:
        if settings.differences is not None:
            return replace(ready, confusable=read_differences(settings.differences, names))
        chosen = confusable_pairs(
            settings.confusable,
            settings.confusable_pairs,
            names,
            embed_prompts(seen.embedder, names),
            unlabelled=seen.images,
            support=labelled(ready, seen.support),
        )
        if task.class_difference is None:
            found, failed = describe_classes(names, chosen, writer.captioner, writer.store, progress)
        else:
            both = [pair for a, b in chosen for pair in ((a, b), (b, a))]
            texts = [(a, b, task.class_difference(ready.classes[a], ready.classes[b])) for a, b in both]
            found, failed = [ClassComparative(names[a], names[b], text) for a, b, text in texts if text], []
    except PcclipError as error:
        return replace(ready, problems=(*ready.problems, _problem(task, "strategies", error.line)))
    failures = _failures(task, "strategies", failed)
    return replace(ready, confusable=tuple(found), problems=(*ready.problems, *failures))


def _with_descriptions(ready: ReadyTask, settings: EvaluateSettings, progress: Progress | None) -> ReadyTask:
    """Return the task with texts about its classes, where a strategy needs them."""
    if not _needed(settings, "descriptions"):
        return ready
    names = [ready.words(label) for label in ready.classes]
    try:
        if settings.descriptions is not None:
            return replace(ready, descriptions=read_descriptions(settings.descriptions, names))
        found = write_descriptions(names, settings.captioner, settings.captioner_options, progress)
        return replace(ready, descriptions=found)
    except PcclipError as error:
        return replace(ready, problems=(*ready.problems, _problem(ready.task, "strategies", error.line)))


def _needed(settings: EvaluateSettings, field: str) -> bool:
    return any(field in to_write(name) for name in settings.strategy)


def _rows(ready: ReadyTask, test: EmbeddedFiles, support: EmbeddedFiles) -> tuple[FloatArray, FloatArray]:
    """Return the embeddings of the test pictures and of those beside, some of which were test pictures at first."""
    of = {path: row for files in (support, test) for path, row in zip(files.paths, files.embeddings, strict=True)}
    dim = test.embeddings.shape[1]
    sides = (ready.task.examples, ready.task.support)
    images, beside = (
        np.stack([of[e.image] for e in side]) if side else np.zeros((0, dim), np.float32) for side in sides
    )
    return images, beside


def _problem(task: Task, measure: str, message: str, part: str = "") -> Problem:
    return Problem(task=task.name, measure=measure, part=part, message=message)


def _failures(task: Task, measure: str, lines: Sequence[str]) -> tuple[Problem, ...]:
    return tuple(_problem(task, measure, f"no usable difference of {line}", "classes") for line in lines)
