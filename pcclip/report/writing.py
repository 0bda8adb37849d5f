"""Writes ``report.html``: one file with everything in it, that asks for nothing from outside."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from pcclip.evaluation import words
from pcclip.evaluation.document import Evaluation
from pcclip.files import new_file
from pcclip.report import confusions, examples, facts, geometry, headline, tables, writers
from pcclip.report.findings import Findings
from pcclip.report.thumbnails import Album

MOST_CHARACTERS = 600
"""Longer texts of users are cut, and say so."""

# what HTML has no place for: controls, non-characters, and halves of surrogate pairs
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def write_report(evaluation: Evaluation, path: Path) -> None:
    """Write an evaluation as one HTML file with tables, plots and small copies of the example pictures.

    The same evaluation and pictures give the same bytes, with the same version of Pillow.

    Raises:
        PcclipError: ``path`` cannot be written.
    """
    with new_file(path) as file:
        file.write(render(evaluation).encode("utf-8"))


def render(evaluation: Evaluation) -> str:
    """Return the report as HTML."""
    findings, album = Findings(evaluation), Album()
    verdicts = headline.verdicts(findings)
    return _template().render(
        evaluation=evaluation,
        models=findings.models,
        baseline=findings.baseline,
        title=headline.title(verdicts, findings),
        verdicts=verdicts,
        tables=tables.tables(findings),
        skipped=[task for task in evaluation.tasks if task.skipped],
        pairs=examples.pairs(findings, album),
        rankings=examples.rankings(findings, album),
        confusions=confusions.confusions(findings),
        explanations=writers.explanations(findings),
        plots=geometry.plots(findings),
        captioners=writers.captioners(findings),
        settings=facts.settings(evaluation.settings),
        records=[facts.record(task) for task in evaluation.tasks],
        album=album,
        limits={"classes": confusions.MOST_CLASSES},
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pcclip.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_fit,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = _short
    environment.filters["unplaced"] = facts.unplaced
    environment.globals["words"] = lambda name: words.measure(name).words
    css = files("pcclip.report").joinpath("templates/report.css").read_text("utf-8")
    environment.globals["css"] = Markup(css)  # ours; everything else is escaped
    return environment.get_template("report.html.j2")


def _fit(value: Any) -> Any:
    """Replace in every text that reaches the page what HTML has no place for."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _UNFIT.sub("\ufffd", value)
    return value


def _short(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return a text cut to so many characters, with its whole length where it was cut."""
    text = str(text)
    return text if len(text) <= most else f"{text[:most].rstrip()} … (cut: {len(text):,} characters)"
