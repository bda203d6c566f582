"""The shim itself: barriers, warp functions and half precision do what a GPU does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.gpu.shim.grid import GridOnCpu, address_of

SOURCE = Path(__file__).with_name("shim") / "barriers.cu"


@pytest.fixture(scope="module")
def grid() -> GridOnCpu:
    return GridOnCpu(SOURCE)


def test_blocks_add_up_in_shared_memory(grid: GridOnCpu) -> None:
    values = np.arange(1000, dtype=np.float32)
    sums = np.full(4, -1, np.float32)
    grid.launch("sum_blocks", (4, 1, 1), (256, 1, 1), None,
                np.uint64(address_of(values)), np.uint64(address_of(sums)), np.int32(1000))  # fmt: skip
    assert sums.tolist() == [values[start : start + 256].sum() for start in range(0, 1000, 256)]


def test_votes_count_when_a_thread_has_ended(grid: GridOnCpu) -> None:
    votes = np.arange(128, dtype=np.int32) % 3 == 0
    votes[77] = True
    given = votes.astype(np.int32)
    ballots, counts = np.zeros(4, np.uint32), np.zeros(128, np.int32)
    grid.launch("vote", (1, 1, 1), (128, 1, 1), None,
                *(np.uint64(address_of(array)) for array in (given, ballots, counts)))  # fmt: skip
    expected = [
        sum(int(vote) << lane for lane, vote in enumerate(votes[w * 32 : w * 32 + 32])) for w in range(4)
    ]
    assert ballots.tolist() == [expected[0], expected[1], 0, expected[3]]
    assert np.delete(counts, 77).tolist() == [int(votes.sum()) - 1] * 127
    assert counts[77] == 0


def test_halves_round_as_numpy_does(grid: GridOnCpu) -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([
        rng.normal(size=5000), rng.normal(size=5000) * 1e-6, rng.normal(size=2000) * 1e5,
        [0, -0.0, np.inf, -np.inf, 65504, 65519.9, 65520, 2**-24, 2**-25, 3 * 2**-25, 2**-14, 1 / 255],
        np.arange(256) / 255,
    ]).astype(np.float32)  # fmt: skip
    bits, back = np.zeros(len(values), np.uint16), np.zeros(len(values), np.float32)
    grid.launch("halves", (len(values) // 128 + 1, 1, 1), (128, 1, 1), None,
                *(np.uint64(address_of(array)) for array in (values, bits, back)), np.int32(len(values)))  # fmt: skip
    with np.errstate(over="ignore"):
        expected = values.astype(np.float16)
    np.testing.assert_array_equal(bits, expected.view(np.uint16))
    np.testing.assert_array_equal(back, expected.astype(np.float32))
