"""The store of described pairs: one SQLite file, every pair asked for with its text or its reason."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from pcclip.errors import RunError, UsageError
from pcclip.types import CaptionPair, Comparative, Rejection

SCHEMA = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS comparatives (
    captioner TEXT NOT NULL,   -- fingerprint of who wrote it
    pair TEXT NOT NULL,        -- CaptionPair.key
    first TEXT NOT NULL,
    second TEXT NOT NULL,
    text TEXT NOT NULL,
    reason TEXT,               -- why it was rejected; NULL where it was accepted
    created TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    PRIMARY KEY (captioner, pair)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS captioners (
    fingerprint TEXT PRIMARY KEY,
    label TEXT NOT NULL        -- for a person: "llama gemma3-270m"
) WITHOUT ROWID;
"""
_TOGETHER = 500  # keys a query; SQLite allowed 999 variables once


class ComparativeStore:
    """Described pairs on disk, filed under pair and captioner fingerprint.

    One process writes at a time, held by a lock file beside the store; any number may read meanwhile.
    Each :meth:`add` is one transaction, so a cut-off loses at most the chunk in flight.

    Args:
        path: the SQLite file; made when missing.
        read_only: only read, and neither make nor lock the file.
        wait: seconds to wait for another process that writes.

    Raises:
        RunError: the file is no store, was made by a newer pcclip, cannot be opened, or another
            process writes to it.
        UsageError: the path is a folder.
    """

    def __init__(self, path: Path, *, read_only: bool = False, wait: float = 0) -> None:
        self.path = path
        try:
            if path.is_dir():
                raise UsageError(f"{path} is a folder, not a store of comparatives", "Name a file: comparatives.sqlite")
            if read_only and not path.is_file():
                raise RunError(f"there is no store of comparatives at {path}", "pcclip describe makes one.")
        except OSError as error:
            raise RunError(f"{path} cannot be opened: {error.strerror or error}") from None
        self._lock = None if read_only else FileLock(path.with_name(f"{path.name}.lock"))
        try:
            if self._lock:
                self._lock.acquire(timeout=wait)
        except Timeout:
            raise RunError(f"another process writes to {path}", "Wait until it ends, or name another file.") from None
        except OSError as error:
            raise RunError(f"{path} cannot be locked: {error.strerror or error}") from None
        try:
            self._open(read_only)
        except BaseException:
            self._release()
            raise

    def _open(self, read_only: bool) -> None:
        path = self.path
        try:
            if read_only:
                # mode=ro would leave its helper files behind; where those cannot be made, nobody writes either
                mode = "mode=rw" if os.access(path.parent, os.W_OK) else "mode=ro&immutable=1"
                self._db = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", timeout=60, uri=True)
                self._db.execute("PRAGMA query_only=1")
            else:
                self._db = sqlite3.connect(path, timeout=60)
            try:
                version = self._db.execute("PRAGMA user_version").fetchone()[0]
                if version != SCHEMA and (version or read_only):
                    known = f"has schema {version}, this pcclip reads schema {SCHEMA}"
                    raise RunError(f"{path} {known if version else 'is no store of comparatives'}", "Upgrade pcclip.")
                if not read_only:
                    self._db.execute("PRAGMA journal_mode=WAL")
                    self._db.execute("PRAGMA synchronous=FULL")
                    self._db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version={SCHEMA}; COMMIT;")
            except BaseException:
                self._db.close()
                raise
        except sqlite3.Error as error:
            raise RunError(f"{path} cannot be used as a store of comparatives: {error}") from None

    def close(self) -> None:
        """Close the file and let others write; calling it twice is harmless."""
        self._db.close()
        self._release()

    def _release(self) -> None:
        if self._lock:
            self._lock.release()

    def __enter__(self) -> ComparativeStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, captioner: str, answers: Iterable[Comparative | Rejection]) -> int:
        """Store ``answers`` together, or none of them, and return how many were new.

        A pair that is there already keeps its first answer.
        """
        return self.add_all((captioner, answer) for answer in answers)

    def add_all(self, answers: Iterable[tuple[str, Comparative | Rejection]]) -> int:
        """Store (captioner fingerprint, answer) together, or none of them, and return how many were new."""
        rows = (
            (
                captioner,
                answer.pair.key,
                answer.pair.first,
                answer.pair.second,
                answer.text,
                answer.reason if isinstance(answer, Rejection) else None,
            )
            for captioner, answer in answers
        )
        before = self._db.total_changes
        with self._db:
            self._db.executemany(
                "INSERT OR IGNORE INTO comparatives (captioner, pair, first, second, text, reason) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )
        return self._db.total_changes - before

    def name(self, captioner: str, label: str) -> None:
        """Note what a person calls the captioner of this fingerprint."""
        with self._db:
            self._db.execute("INSERT OR REPLACE INTO captioners (fingerprint, label) VALUES (?, ?)", (captioner, label))

    def captioners(self) -> dict[str, str | None]:
        """Return the fingerprints of all captioners that have an answer here, with what a person calls them."""
        with closing(self._db.cursor()) as cursor:
            return dict(
                cursor.execute(
                    "SELECT DISTINCT c.captioner, n.label FROM comparatives c "
                    "LEFT JOIN captioners n ON n.fingerprint = c.captioner ORDER BY n.label, c.captioner"
                )
            )

    def known(self, captioner: str, pairs: Iterable[CaptionPair]) -> Iterator[bool]:
        """Yield for each of ``pairs`` whether it was asked for. Holds a few hundred pairs at a time."""
        for keys, _ in self._batches(pairs):
            found = {row[0] for row in self._select("pair", captioner, keys)}
            yield from (key in found for key in keys)

    def answers(self, captioner: str, pairs: Iterable[CaptionPair]) -> Iterator[Comparative | Rejection | None]:
        """Yield what is stored for each of ``pairs``, None where it was never asked for."""
        for keys, batch in self._batches(pairs):
            found = {row[0]: row[1:] for row in self._select("pair, text, reason", captioner, keys)}
            for key, pair in zip(keys, batch, strict=True):
                yield _answer(pair, *found[key]) if key in found else None

    def all(self, captioner: str | None = None) -> Iterator[tuple[str, Comparative | Rejection]]:
        """Yield (captioner fingerprint, answer) of everything stored, or of one captioner, by age."""
        where, values = ("WHERE captioner = ?", (captioner,)) if captioner else ("", ())
        with closing(self._db.cursor()) as cursor:
            rows = cursor.execute(
                f"SELECT captioner, first, second, text, reason FROM comparatives {where} ORDER BY created, pair",
                values,
            )
            for fingerprint, first, second, text, reason in rows:
                yield fingerprint, _answer(CaptionPair(first, second), text, reason)

    def _batches(self, pairs: Iterable[CaptionPair]) -> Iterator[tuple[list[str], list[CaptionPair]]]:
        walker = iter(pairs)
        while batch := list(islice(walker, _TOGETHER)):
            yield [pair.key for pair in batch], batch

    def _select(self, columns: str, captioner: str, keys: list[str]) -> list[tuple[str, ...]]:
        marks = ",".join("?" * len(keys))
        with closing(self._db.cursor()) as cursor:
            return cursor.execute(
                f"SELECT {columns} FROM comparatives WHERE captioner = ? AND pair IN ({marks})", (captioner, *keys)
            ).fetchall()


def rejection_counts(answers: Iterable[Comparative | Rejection | None]) -> dict[str, int]:
    """Count rejections by reason, most frequent first."""
    counts = Counter(answer.reason for answer in answers if isinstance(answer, Rejection))
    return dict(counts.most_common())


def _answer(pair: CaptionPair, text: str, reason: str | None) -> Comparative | Rejection:
    return Comparative(pair, text) if reason is None else Rejection(pair, reason, text)
