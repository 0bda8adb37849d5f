"""Image embeddings, computed once and kept by content.

The cache is one SQLite file shared by all runs. An embedding is filed under the image tower's
fingerprint and the hash of the file's content, so renaming pictures or finetuning the text tower
costs nothing, and changing a picture or the preprocessing can never bring back a stale row.
"""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from pcclip import boundary
from pcclip.data.pictures import PictureError, open_picture, picture_digest
from pcclip.errors import RunError
from pcclip.files import cache_folder, make_writable_folder, new_file, write_text
from pcclip.interfaces import Embedder
from pcclip.progress import NoProgress, Progress
from pcclip.threads import available_cores
from pcclip.types import FloatArray, Quarantined

if TYPE_CHECKING:
    from PIL.Image import Image

_MOST_DECODERS = 16
_TABLES = """
CREATE TABLE IF NOT EXISTS file (
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, digest BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS embedding (
    tower TEXT NOT NULL, digest BLOB NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (tower, digest)
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class EmbeddedFiles:
    """Embeddings of the pictures that could be read.

    Attributes:
        positions: n indices into the paths that were asked for, ascending.
        paths: the n paths at those positions.
        digests: n content hashes of those files, hexadecimal.
        embeddings: (n, dim) float32 unit rows.
        quarantined: a row for each picture that could not be read.
    """

    positions: tuple[int, ...]
    paths: tuple[Path, ...]
    digests: tuple[str, ...]
    embeddings: FloatArray
    quarantined: tuple[Quarantined, ...]


class EmbeddingStore:
    """The cache on disk.

    Args:
        path: the SQLite file; by default ``embeddings.sqlite`` in the cache folder.

    Raises:
        RunError: the file cannot be used.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or cache_folder() / "embeddings.sqlite"
        make_writable_folder(self.path.parent)
        try:
            self._db = sqlite3.connect(self.path, timeout=60, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_TABLES)
        except sqlite3.Error as error:
            raise RunError(
                f"{self.path} cannot be used as the embedding cache: {error}",
                "Delete it (it can be computed again), or name another folder in PCCLIP_CACHE.",
            ) from None

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> EmbeddingStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def digest(self, path: Path) -> bytes:
        """Return the hash of a file's content; files with the size and time of an earlier look are not read again.

        Raises:
            PictureError: the file cannot be read.
        """
        try:
            status = path.stat()
        except OSError:
            return picture_digest(path)  # names what is wrong
        key = str(path.absolute()).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        row = self._db.execute(
            "SELECT digest FROM file WHERE path = ? AND size = ? AND mtime_ns = ?",
            (key, status.st_size, status.st_mtime_ns),
        ).fetchone()
        if row:
            return bytes(row[0])
        digest = picture_digest(path)
        with self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?)", (key, status.st_size, status.st_mtime_ns, digest)
            )
        return digest

    def get(self, tower: str, digest: bytes) -> FloatArray | None:
        """Return the (dim,) embedding of a content hash, or None."""
        row = self._db.execute(
            "SELECT vector FROM embedding WHERE tower = ? AND digest = ?", (tower, digest)
        ).fetchone()
        return np.frombuffer(row[0], "<f4").astype(np.float32) if row else None

    def put(self, tower: str, digests: Sequence[bytes], embeddings: FloatArray) -> None:
        """Store a batch of (n, dim) rows as one transaction."""
        rows = [(tower, d, e.astype("<f4").tobytes()) for d, e in zip(digests, embeddings, strict=True)]
        with self._db:
            self._db.executemany("INSERT OR REPLACE INTO embedding VALUES (?, ?, ?)", rows)


def embed(
    embedder: Embedder,
    paths: Sequence[Path],
    *,
    ids: Sequence[str] | None = None,
    store: EmbeddingStore | None = None,
    progress: Progress | None = None,
) -> EmbeddedFiles:
    """Embed picture files, from the cache where they are there.

    Args:
        ids: names for the quarantine rows, one a path; by default the paths themselves.
        store: the cache; by default the shared one.

    Raises:
        PluginError: the embedder returned another shape, NaN, or rows that are not of unit length.
    """
    if store is None:
        with EmbeddingStore() as shared:
            return embed(embedder, paths, ids=ids, store=shared, progress=progress)
    names = [str(path) for path in paths] if ids is None else ids
    tower = boundary.fingerprint("embedder", embedder, "image_fingerprint")
    rows: dict[int, FloatArray] = {}
    digests: dict[int, bytes] = {}
    quarantined: list[Quarantined] = []
    fresh: dict[bytes, list[int]] = {}
    for position, path in enumerate(paths):
        try:
            digest = store.digest(path)
        except PictureError as error:
            quarantined.append(Quarantined(names[position], "embed", error.reason, error.detail))
            continue
        digests[position] = digest
        known = store.get(tower, digest)
        if known is not None and known.shape == (embedder.dim,):
            rows[position] = known
        else:
            fresh.setdefault(digest, []).append(position)

    todo = list(fresh.items())
    with (progress or NoProgress()).task("Embedding pictures", len(paths), "picture", len(paths) - len(todo)) as task:
        for batch in _decoded(embedder, paths, todo):
            good = [
                (digest, positions, image) for digest, positions, image in batch if not isinstance(image, PictureError)
            ]
            for _, positions, image in batch:
                if isinstance(image, PictureError):
                    quarantined.extend(Quarantined(names[p], "embed", image.reason, image.detail) for p in positions)
            if good:
                embeddings = boundary.image_embeddings(embedder, [image for _, _, image in good])
                store.put(tower, [digest for digest, _, _ in good], embeddings)
                for (_, positions, _), embedding in zip(good, embeddings, strict=True):
                    rows.update(dict.fromkeys(positions, embedding))
            task.advance(len(batch))
    found = tuple(sorted(rows))
    stacked = np.stack([rows[p] for p in found]) if found else np.zeros((0, embedder.dim), np.float32)
    return EmbeddedFiles(
        found,
        tuple(paths[p] for p in found),
        tuple(digests[p].hex() for p in found),
        stacked,
        tuple(quarantined),
    )


def write_embeddings(path: Path, embedded: EmbeddedFiles) -> Path:
    """Write the rows as ``path`` (.npy, float32) and their file names as a CSV beside it; return the CSV's path.

    Raises:
        PcclipError: a file cannot be written.
    """
    names = path.with_suffix(".csv")
    make_writable_folder(path.parent)
    with new_file(path) as building:
        np.save(building, embedded.embeddings, allow_pickle=False)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "image", "blake2b"])
    writer.writerows((row, *cells) for row, cells in enumerate(zip(embedded.paths, embedded.digests, strict=True)))
    write_text(names, text.getvalue())
    return names


def _decoded(
    embedder: Embedder, paths: Sequence[Path], todo: list[tuple[bytes, list[int]]]
) -> Iterator[list[tuple[bytes, list[int], Image | PictureError]]]:
    """Yield batches of pictures, decoded and prepared; the next batch is, while the last one is embedded."""

    def decode(item: tuple[bytes, list[int]]) -> tuple[bytes, list[int], Image | PictureError]:
        digest, positions = item
        try:
            return digest, positions, boundary.prepared(embedder, open_picture(paths[positions[0]]))
        except PictureError as error:
            return digest, positions, error

    size = boundary.image_batch_size(embedder)
    batches = [todo[start : start + size] for start in range(0, len(todo), size)]
    with ThreadPoolExecutor(max_workers=min(available_cores(), _MOST_DECODERS), thread_name_prefix="decode") as pool:
        waiting = [pool.submit(decode, item) for item in batches[0]] if batches else []
        for following in [*batches[1:], []]:
            current, waiting = waiting, [pool.submit(decode, item) for item in following]
            if current:
                yield [future.result() for future in current]
