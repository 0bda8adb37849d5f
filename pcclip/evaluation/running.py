"""``evaluate``: models and a suite in, one document out."""

from __future__ import annotations

import logging
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pcclip.comparatives import ComparativeStore
from pcclip.embeddings import EmbeddingStore
from pcclip.errors import PcclipError, UsageError
from pcclip.evaluation.candidates import Candidate, find_candidates
from pcclip.evaluation.comparing import compare
from pcclip.evaluation.document import CaptionerFacts, Evaluation, ModelFacts, TaskFacts
from pcclip.evaluation.examples import pair_examples, ranking_examples
from pcclip.evaluation.groups import GROUPS
from pcclip.evaluation.preparing import Writer, embed_examples, prepare_task
from pcclip.evaluation.settings import EvaluateSettings, make_settings
from pcclip.evaluation.tables import write_csv
from pcclip.evaluation.view import Estimate, Found, ReadyTask, View
from pcclip.files import cache_folder, make_writable_folder, write_text
from pcclip.interfaces import Embedder
from pcclip.knowledge import warn_of_unread
from pcclip.plugins import registry
from pcclip.progress import NoProgress, Progress
from pcclip.report import write_report
from pcclip.suites import Attribute, Suite, find
from pcclip.suites.attributes import parse_sentence
from pcclip.suites.own import OwnData
from pcclip.suites.task import repeated
from pcclip.types import FloatArray

log = logging.getLogger(__name__)
_WAIT = 600.0  # seconds for another evaluation that writes to the same store of comparatives
_DOCUMENT = "evaluation.json"
_PACKAGES = ("pcclip", "torch", "open_clip_torch", "transformers", "numpy", "scipy", "scikit-learn")


@dataclass(slots=True)
class _Measured:
    """A task that is ready, with what each model gave on it."""

    ready: ReadyTask
    captioner: CaptionerFacts | None
    estimates: dict[str, list[Estimate]] = field(default_factory=dict)
    found: dict[str, Found] = field(default_factory=dict)


def evaluate(
    models: Sequence[str | Path] = (),
    *,
    baseline: str | Path | None = None,
    data: str | Path | None = None,
    suite: Suite | str | Path | None = None,
    attributes: Sequence[Attribute | str] = (),
    attributes_file: str | Path | None = None,
    support: str | Path | None = None,
    download: bool = False,
    out: str | Path | None = None,
    overwrite: bool = False,
    device: str = "auto",
    baseline_options: Mapping[str, Any] | None = None,
    data_options: Mapping[str, Any] | None = None,
    max_bad_fraction: float = 0.1,
    progress: Progress | None = None,
    **settings: Any,
) -> Evaluation:
    """Measure models on the tasks of a suite, or on data of one's own, and compare them with a baseline.

    A measure that cannot be taken becomes one of the document's ``problems``, a task that cannot be read is
    ``skipped``; the others are still taken.

    Args:
        models: run folders, model folders, or names of backbones.
        baseline: what the others are compared with; by default the backbone that the first run was tuned from,
            and ``none`` for nothing.
        data: without a suite the data to measure on, as :func:`pcclip.data.read` takes it; with one the folder
            that holds its data sets.
        suite: a suite, its name, or its TOML file.
        attributes: numeric attributes of ``data`` with the sentences about them; a text is read by
            :func:`pcclip.suites.attributes.parse_sentence`.
        attributes_file: table of further attributes of ``data``, by picture or by class.
        support: labelled pictures beside ``data``: the shots of probes, and what is validated on.
        download: whether a suite may fetch data sets that are missing.
        out: folder for ``evaluation.json``, ``results.csv`` and ``report.html``; None writes nothing.
        overwrite: whether an evaluation that ``out`` holds may be replaced.
        device: where models run.
        baseline_options: options of the backbone that is the baseline.
        data_options: options of :func:`pcclip.data.read` for ``data``.
        max_bad_fraction: the largest share of unusable rows of ``data`` to accept.
        settings: fields of :class:`pcclip.evaluation.settings.EvaluateSettings`.

    Raises:
        UsageError: a model, strategy, captioner, measure or setting is unknown, or ``out`` holds an evaluation.
        PcclipError: a model cannot be loaded, or ``out`` cannot be written.
    """
    chosen = make_settings(**settings)
    _require(chosen)
    own = OwnData(
        str(data or ""),
        dict(data_options or {}),
        _attributes(attributes),
        max_bad_fraction,
        None if attributes_file is None else Path(attributes_file),
        None if support is None else str(support),
    )
    wanted = _suite(suite, own, download)
    if out is not None:
        if (Path(out) / _DOCUMENT).exists() and not overwrite:
            raise UsageError(f"{out} holds an evaluation", "Name another folder, or replace it with --overwrite.")
        make_writable_folder(Path(out))
    shown = progress or NoProgress()
    candidates, reference = find_candidates(models, baseline, baseline_options, shown)
    root = Path(data) if suite is not None and data is not None else None
    tasks, measured, facts = _measure(candidates, reference, wanted, root, device, chosen, shown)
    evaluation = _document(wanted.name, chosen, facts, tasks, measured, reference)
    if out is not None:
        write_evaluation(evaluation, Path(out))
    return evaluation


def write_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Write ``evaluation.json``, ``results.csv`` and ``report.html`` into a folder."""
    write_text(folder / _DOCUMENT, evaluation.model_dump_json(indent=1) + "\n")
    write_csv(evaluation, folder / "results.csv")
    write_report(evaluation, folder / "report.html")


def _require(settings: EvaluateSettings) -> None:
    """Raise a UsageError now where a plugin or a measure is unknown."""
    registry().parse_options("captioner", settings.captioner, settings.captioner_options)
    for name in settings.strategy:
        registry().parse_options("strategy", name, settings.strategy_options.get(name, {}))
    brought = {"comparatives": settings.differences, "descriptions": settings.descriptions}
    taken = settings.strategy if not settings.measures or "strategies" in settings.measures else ()
    warn_of_unread(taken, [name for name, file in brought.items() if file is not None])
    idle = sorted(set(settings.strategy_options) - set(settings.strategy))
    if idle:
        raise UsageError(f"there are options of the strategy {idle[0]!r}, which is not taken")
    for name in settings.measures:
        if name not in GROUPS:
            raise UsageError(f"no group of measures is called {name!r}", f"There are: {', '.join(GROUPS)}")


def _attributes(given: Sequence[Attribute | str]) -> tuple[Attribute, ...]:
    found = tuple(parse_sentence(one) if isinstance(one, str) else one for one in given)
    twice = repeated(attribute.name for attribute in found)
    if twice is not None:
        raise UsageError(f"the attribute {twice!r} has sentences twice", "Give each attribute its sentences once.")
    return found


def _suite(suite: Suite | str | Path | None, own: OwnData, download: bool) -> Suite:
    if suite is None:
        if download:
            raise UsageError("only the data sets of a suite can be fetched", "Name one: --suite paper --download")
        if not own.data:
            raise UsageError("there is nothing to measure on", "Name data or a suite: --data DATA, --suite stamps")
        return Suite(own.name, [own])
    idle = {
        "attributes": own.attributes or own.attributes_file is not None,
        "labelled pictures beside": own.support is not None,
        "columns and a folder of pictures": bool(own.options),
    }
    for what in (what for what, given in idle.items() if given):
        raise UsageError(
            f"{what} are of one's own data, and a suite brings its own", "Leave the suite out, or write a suite file."
        )
    found = suite if isinstance(suite, Suite) else find(suite, download=download)
    twice = repeated(source.name for source in found.sources)
    if twice is not None:
        raise UsageError(f"two tasks of the suite are called {twice!r}", "Give each task its own name.")
    return found


def _measure(
    candidates: Sequence[Candidate],
    baseline: str | None,
    suite: Suite,
    root: Path | None,
    device: str,
    settings: EvaluateSettings,
    progress: Progress,
) -> tuple[list[TaskFacts], list[_Measured], list[ModelFacts]]:
    """Make the tasks ready with the first model, then take every model in turn, one in memory at a time."""
    facts: list[ModelFacts] = []
    tasks: list[TaskFacts] = []
    measured: list[_Measured] = []
    for candidate in candidates:
        embedder = candidate.open(device)
        if not facts:
            tasks, measured = _prepare(suite, root, embedder, candidates, settings, progress)
        facts.append(
            ModelFacts(
                name=candidate.name,
                backbone=candidate.backbone,
                path=None if candidate.path is None else str(candidate.path),
                baseline=candidate.name == baseline,
                image_fingerprint=embedder.image_fingerprint,
                text_fingerprint=embedder.text_fingerprint,
            )
        )
        texts: dict[str, FloatArray] = {}
        for one in measured:
            _take(candidate.name, embedder, one, texts, settings, progress)
    return tasks, measured, facts


def _prepare(
    suite: Suite,
    root: Path | None,
    embedder: Embedder,
    candidates: Sequence[Candidate],
    settings: EvaluateSettings,
    progress: Progress,
) -> tuple[list[TaskFacts], list[_Measured]]:
    facts, measured = [], []
    store_file = settings.comparatives or cache_folder() / "evaluation.sqlite"
    make_writable_folder(store_file.parent)
    with (
        registry().captioner(settings.captioner, settings.captioner_options) as captioner,
        ComparativeStore(store_file, wait=_WAIT) as store,
    ):
        for source in suite.sources:
            try:
                task = source.load(root, progress)
                ready = prepare_task(task, embedder, candidates, Writer(captioner, store), settings, progress)
            except PcclipError as error:
                log.warning("task %s is left out: %s", source.name, error.line)
                facts.append(TaskFacts(name=source.name, skipped=error.line))
                continue
            facts.append(_facts(ready.task))
            measured.append(_Measured(ready.task, ready.captioner))
    return facts, measured


def _facts(ready: ReadyTask) -> TaskFacts:
    task = ready.task
    prompts = {label: task.template.replace("{label}", ready.words(label)) for label in ready.classes}
    for attribute in task.attributes:
        prompts |= {f"{attribute.name}: more": attribute.more, f"{attribute.name}: less": attribute.less}
        prompts[f"{attribute.name}: phrase"] = attribute.phrase or attribute.more
    return TaskFacts(
        name=task.name,
        source=task.source,
        pictures=len(task.examples),
        support=len(task.support),
        classes=ready.classes,
        prompts=prompts,
        quarantined=tuple(
            {"id": row.id, "stage": row.stage, "reason": row.reason, "detail": row.detail} for row in task.quarantined
        ),
        notes=task.notes,
    )


def _take(
    name: str,
    embedder: Embedder,
    one: _Measured,
    texts: dict[str, FloatArray],
    settings: EvaluateSettings,
    progress: Progress,
) -> None:
    task = one.ready.task
    with EmbeddingStore() as store:
        test = embed_examples(task.examples, embedder, store, progress)
        support = embed_examples(task.support, embedder, store, progress)
    if test.quarantined or support.quarantined:
        bad = (*test.quarantined, *support.quarantined)[0]
        raise PcclipError(f"{bad.id} could be read a moment ago and cannot any more: {bad.detail}")
    view = View(name, embedder, one.ready, test.embeddings, support.embeddings, settings, texts)
    estimates: list[Estimate] = []
    with progress.task(f"Measuring {name} on {task.name}", total=len(task.measures), unit="group") as bar:
        for group in task.measures:
            try:
                if group not in GROUPS:
                    raise UsageError(f"no group of measures is called {group!r}", f"There are: {', '.join(GROUPS)}")
                for estimate in GROUPS[group](view):
                    estimates.append(estimate)
            except PcclipError as error:
                view.problem(group, error.line)
            bar.advance()
    cut = sum(embedder.token_count(text) > embedder.context_length for pairs in one.ready.pairs for text in pairs.texts)
    if cut:
        total = sum(len(pairs.texts) for pairs in one.ready.pairs)
        view.problem(
            "difference",
            f"{name} reads {embedder.context_length} tokens: {cut} of {total} texts of pairs are longer and were cut",
        )
    one.estimates[name] = estimates
    one.found[name] = view.found


def _document(
    suite: str,
    settings: EvaluateSettings,
    models: list[ModelFacts],
    tasks: list[TaskFacts],
    measured: list[_Measured],
    baseline: str | None,
) -> Evaluation:
    parts: dict[str, list[Any]] = {name: [] for name in Evaluation.model_fields}
    said = {one.ready.task.name: [note for found in one.found.values() for note in found.notes] for one in measured}
    for one in measured:
        name = one.ready.task.name
        results, compared, problems = compare(
            name,
            one.estimates,
            baseline,
            len(one.ready.task.examples),
            resamples=settings.resamples,
            seed=settings.seed,
        )
        parts["results"] += results
        parts["comparisons"] += compared
        raised = [*one.ready.problems, *problems, *(p for found in one.found.values() for p in found.problems)]
        parts["problems"] += list(dict.fromkeys(raised))
        parts["pair_examples"] += pair_examples(one.ready, one.found, baseline)
        parts["rankings"] += ranking_examples(one.ready, one.found)
        for found in one.found.values():
            parts["confusions"] += found.confusions
            parts["explanations"] += found.explanations
            parts["geometry"] += found.geometry
        parts["captioners"] += [one.captioner] if one.captioner is not None else []
    facts = {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": _versions(),
        "suite": suite,
        "settings": settings.model_dump(mode="json"),
        "models": models,
        "tasks": [task.model_copy(update={"notes": (*task.notes, *said.get(task.name, ()))}) for task in tasks],
    }
    return Evaluation.model_validate({**facts, **{name: rows for name, rows in parts.items() if rows}})


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
