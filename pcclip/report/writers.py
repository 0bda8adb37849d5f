"""What writers of text did: captioners and their rejections, and the texts of comparative prompting."""

from __future__ import annotations

from dataclasses import dataclass

from pcclip.evaluation import words
from pcclip.evaluation.document import CaptionerFacts, Explanation
from pcclip.report.findings import Findings

MOST_TEXTS = 10
"""Examples shown of a captioner, accepted and rejected ones each."""

MOST_EXPLANATIONS = 20


@dataclass(frozen=True, slots=True)
class Captioner:
    """A captioner on a task; ``reasons`` are rows of reason, count and share of all that was asked."""

    facts: CaptionerFacts
    rejected: int
    rate: str
    accepted_at: float
    reasons: tuple[tuple[str, int, str], ...]
    accepted_texts: tuple[dict[str, str], ...]
    rejected_texts: tuple[dict[str, str], ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Explained:
    """What a strategy's texts did for a model on a task, those that moved most first."""

    task: str
    model: str
    strategy: str
    rows: tuple[Explanation, ...]
    left_out: int
    moved: int
    moved_rightly: int | None


def captioners(findings: Findings) -> tuple[Captioner, ...]:
    """Return what each captioner did on each task."""
    return tuple(_captioner(facts) for facts in findings.evaluation.captioners)


def _captioner(facts: CaptionerFacts) -> Captioner:
    asked, rejected = max(1, facts.asked), sum(facts.rejected.values())
    reasons = sorted(facts.rejected.items(), key=lambda item: (-item[1], item[0]))
    good = [row for row in facts.examples if not row.get("reason")]
    bad = [row for row in facts.examples if row.get("reason")]
    return Captioner(
        facts,
        rejected,
        words.figure(rejected / asked, "share"),
        round(min(100.0, 100 * facts.accepted / asked), 2),
        tuple((reason, count, words.figure(count / asked, "share")) for reason, count in reasons),
        tuple(good[:MOST_TEXTS]),
        tuple(bad[:MOST_TEXTS]),
        max(0, len(good) - MOST_TEXTS) + max(0, len(bad) - MOST_TEXTS),
    )


def explanations(findings: Findings) -> tuple[Explained, ...]:
    """Return the explanations of each task, model and strategy."""
    groups: dict[tuple[str, str, str], list[Explanation]] = {}
    for row in findings.evaluation.explanations:
        groups.setdefault((row.task, row.model, row.strategy), []).append(row)
    return tuple(_explained(*key, rows) for key, rows in groups.items())


def _explained(task: str, model: str, strategy: str, rows: list[Explanation]) -> Explained:
    rightly = [row.moved_rightly for row in rows if row.moved_rightly is not None]
    return Explained(
        task,
        model,
        strategy,
        tuple(sorted(rows, key=lambda row: -row.moved)[:MOST_EXPLANATIONS]),
        max(0, len(rows) - MOST_EXPLANATIONS),
        sum(row.moved for row in rows),
        sum(rightly) if len(rightly) == len(rows) else None,
    )
