"""Make a task ready: readable pictures that trained no model, pairs of them, and the texts of the pairs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pcclip.comparatives import ComparativeStore
from pcclip.describe import describe
from pcclip.differences import describe_classes, similar_classes
from pcclip.embeddings import EmbeddedFiles, EmbeddingStore, embed
from pcclip.errors import DataError, PcclipError
from pcclip.evaluation.candidates import Candidate
from pcclip.evaluation.document import CaptionerFacts, Problem
from pcclip.evaluation.pairing import PairSet, attribute_pairs, class_pairs, draw, pair_set
from pcclip.evaluation.settings import EvaluateSettings
from pcclip.evaluation.view import ReadyTask
from pcclip.form import reverse
from pcclip.interfaces import Captioner, Embedder
from pcclip.pairs import random_pairs
from pcclip.progress import Progress
from pcclip.suites import Protocol, Task
from pcclip.types import CaptionPair, ClassComparative, Comparative, Example, Rejection

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
        raise DataError(f"{task.name}: {len(task.examples)} test pictures are left; measures need at least two")
    wanted = set(task.measures)
    sets: list[PairSet] = []
    problems: list[Problem] = []
    facts = None
    if wanted & {"difference", "geometry", "composed"}:
        described, facts = _caption_pairs(task, writer, settings.seed, progress)
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
            ready = _with_confusable(ready, embedder, writer, settings, progress)
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
    found, failed = describe_classes([*label], pairs, writer.captioner, writer.store, progress)
    renamed = tuple(ClassComparative(label[one.first], label[one.second], one.text) for one in found)
    return replace(ready, comparatives=renamed, problems=(*ready.problems, *_failures(task, "geometry", failed)))


def _with_confusable(
    ready: ReadyTask, embedder: Embedder, writer: Writer, settings: EvaluateSettings, progress: Progress | None
) -> ReadyTask:
    """Return the task with the pairs of classes described that the first model takes for most alike, for all models."""
    task = ready.task
    names = [ready.words(label) for label in ready.classes]
    prompts = embedder.embed_texts([task.template.replace("{label}", name) for name in names])
    chosen = similar_classes(prompts, settings.confusable_pairs)
    if task.class_difference is not None:
        both = [pair for a, b in chosen for pair in ((a, b), (b, a))]
        texts = [(a, b, task.class_difference(ready.classes[a], ready.classes[b])) for a, b in both]
        return replace(
            ready, confusable=tuple(ClassComparative(names[a], names[b], text) for a, b, text in texts if text)
        )
    try:
        found, failed = describe_classes(names, chosen, writer.captioner, writer.store, progress)
    except PcclipError as error:
        return replace(ready, problems=(*ready.problems, *_failures(task, "strategies", [error.message])))
    return replace(ready, confusable=tuple(found), problems=(*ready.problems, *_failures(task, "strategies", failed)))


def _failures(task: Task, measure: str, lines: Sequence[str]) -> tuple[Problem, ...]:
    return tuple(
        Problem(task=task.name, measure=measure, part="classes", message=f"no usable difference of {line}")
        for line in lines
    )
