"""Freed memory stays for the next step, and goes back to the system afterwards."""

from __future__ import annotations

import platform
import resource

import pytest
import torch

from pcclip.memory import freed_memory_kept

PAGES = 64 * 2**20 // resource.getpagesize()  # of a block above what glibc keeps by itself, 32 MiB
ROUNDS = 40


def _faults() -> list[int]:
    """Take and free a large block again and again; return how many pages of it had to be fetched anew each time."""
    counts = []
    for _ in range(ROUNDS):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(16 * 2**20)
        counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return counts


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_a_freed_block_is_taken_again_and_given_back_at_the_end() -> None:
    with freed_memory_kept():
        # it takes glibc some rounds to find aligned blocks a place that fits
        assert min(_faults()) < PAGES // 10
    assert _faults()[0] > PAGES * 9 // 10
