"""Free memory is returned to the system, but only after reconnects."""

from __future__ import annotations

import sys

import psutil
import pytest

from framelane.core.heap import Heap
from framelane.core.libc import malloc_trim


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="malloc_trim is glibc's")
def test_memory_between_live_allocations_is_returned() -> None:
    process = psutil.Process()
    blocks = [bytes([1]) * 100_000 for _ in range(2000)]  # too small for pages of their own
    held = blocks[::10]
    del blocks
    full = process.memory_info().rss
    malloc_trim()
    assert full - process.memory_info().rss > 100_000_000
    assert len(held) == 200


def test_heap_is_trimmed_once_for_each_reconnect() -> None:
    given_back = []
    heap = Heap(lambda: given_back.append(1))
    heap.note(0)
    assert len(given_back) == 0
    for connections in (1, 1, 1, 3, 3):
        heap.note(connections)
    assert len(given_back) == 2
