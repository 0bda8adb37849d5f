"""The store of described pairs: one SQLite file, every pair asked for with its text or its reason."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType

from pcclip.errors import RunError
from pcclip.types import CaptionPair, Comparative, Rejection

SCHEMA = 1
_TABLE = """
CREATE TABLE IF NOT EXISTS comparatives (
    captioner TEXT NOT NULL,   -- fingerprint of who wrote it
    pair TEXT NOT NULL,        -- CaptionPair.key
    first TEXT NOT NULL,
    second TEXT NOT NULL,
    text TEXT NOT NULL,
    reason TEXT,               -- why it was rejected; NULL where it was accepted
    created TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    PRIMARY KEY (captioner, pair)
) WITHOUT ROWID
"""


class ComparativeStore:
    """Described pairs on disk, filed under pair and captioner fingerprint.

    Each :meth:`add` is one transaction, so a cut-off loses at most the chunk in flight.

    Args:
        path: the SQLite file; made when missing.

    Raises:
        RunError: the file is no store, was made by a newer pcclip, or cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._db = sqlite3.connect(path, timeout=60)
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, SCHEMA):
                raise RunError(f"{path} has schema {version}, this pcclip reads schema {SCHEMA}", "Upgrade pcclip.")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            with self._db:
                self._db.execute(_TABLE)
                self._db.execute(f"PRAGMA user_version={SCHEMA}")
        except sqlite3.Error as error:
            raise RunError(f"{path} cannot be used as a store of comparatives: {error}") from None

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> ComparativeStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, captioner: str, answers: Iterable[Comparative | Rejection]) -> None:
        """Store ``answers`` together, or none of them. A pair that is there already keeps its first answer."""
        rows = [
            (
                captioner,
                answer.pair.key,
                answer.pair.first,
                answer.pair.second,
                answer.text,
                answer.reason if isinstance(answer, Rejection) else None,
            )
            for answer in answers
        ]
        with self._db:
            self._db.executemany(
                "INSERT OR IGNORE INTO comparatives (captioner, pair, first, second, text, reason) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )

    def missing(self, captioner: str, pairs: Sequence[CaptionPair]) -> list[CaptionPair]:
        """Return those of ``pairs`` that were never asked for, in order, each once."""
        with closing(self._db.cursor()) as cursor:
            known = {
                row[0] for row in cursor.execute("SELECT pair FROM comparatives WHERE captioner = ?", (captioner,))
            }
        fresh: dict[str, CaptionPair] = {}
        for pair in pairs:
            key = pair.key
            if key not in known:
                fresh.setdefault(key, pair)
        return list(fresh.values())

    def answers(self, captioner: str, pairs: Sequence[CaptionPair]) -> list[Comparative | Rejection | None]:
        """Return what is stored for each of ``pairs``, None where it was never asked for."""
        found = []
        with closing(self._db.cursor()) as cursor:
            for pair in pairs:
                row = cursor.execute(
                    "SELECT first, second, text, reason FROM comparatives WHERE captioner = ? AND pair = ?",
                    (captioner, pair.key),
                ).fetchone()
                found.append(_answer(*row) if row else None)
        return found

    def all(self, captioner: str | None = None) -> Iterator[tuple[str, Comparative | Rejection]]:
        """Yield (captioner fingerprint, answer) of everything stored, or of one captioner."""
        where, values = ("WHERE captioner = ?", (captioner,)) if captioner else ("", ())
        with closing(self._db.cursor()) as cursor:
            rows = cursor.execute(
                f"SELECT captioner, first, second, text, reason FROM comparatives {where} ORDER BY created, pair",
                values,
            )
            for row in rows:
                yield row[0], _answer(*row[1:])


def rejection_counts(answers: Iterable[Comparative | Rejection | None]) -> dict[str, int]:
    """Count rejections by reason, most frequent first."""
    counts = Counter(answer.reason for answer in answers if isinstance(answer, Rejection))
    return dict(counts.most_common())


def _answer(first: str, second: str, text: str, reason: str | None) -> Comparative | Rejection:
    pair = CaptionPair(first, second)
    return Comparative(pair, text) if reason is None else Rejection(pair, reason, text)
