"""Keep the memory that one step frees for the next one."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

# parameters of mallopt(3), and the values that glibc starts with
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_TRIM_THRESHOLD_DEFAULT, _MMAP_MAX_DEFAULT = 128 * 1024, 65536


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Let the C library keep what is freed in this block, and give it back to the system at the end.

    A training step on a CPU allocates and frees hundreds of megabytes, in blocks so large that glibc hands each
    back at once; the next step then pays for the first touch of every page anew. Does nothing where the C library
    is not glibc. The setting holds for the whole process.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_MMAP_MAX, 0)
    libc.mallopt(_TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        libc.mallopt(_MMAP_MAX, _MMAP_MAX_DEFAULT)
        libc.mallopt(_TRIM_THRESHOLD, _TRIM_THRESHOLD_DEFAULT)
        libc.malloc_trim(0)
