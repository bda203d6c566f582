from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from framelane.inference.backends.runner import Detected
from framelane.inference.backends.split_batches import SplitBatches

if TYPE_CHECKING:
    from collections.abc import Sequence


class Runner:
    """Finds each picture's name, filter and crop, copies some, and takes a second per picture and stage."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def open(self) -> None:
        self.told.append("open")

    def detect(
        self,
        pictures: list[Any],
        wanted: Sequence[Any],
        crops: Sequence[Any],
        pictured: Sequence[int] = (),
    ) -> Detected:
        self.told.append(len(pictures))
        found: list[Any] = list(zip(pictures, wanted, crops, strict=True))
        copies: Any = {number: f"copy of {pictures[number]}" for number, most in enumerate(pictured) if most}
        seconds = float(len(pictures))
        pictures.clear()
        return Detected(found, seconds, 10 * seconds, 100 * seconds, copies, 1000)

    def close(self) -> None:
        self.told.append("close")


@pytest.mark.parametrize(
    ("count", "most", "parts"),
    [(0, 4, []), (1, 4, [1]), (4, 4, [4]), (5, 4, [4, 1]), (9, 4, [4, 4, 1]), (3, 1, [1, 1, 1])],
)
def test_detect_gives_the_runner_parts_and_keeps_their_order(count: int, most: int, parts: list[int]) -> None:
    runner = Runner()
    pictures: list[Any] = [f"picture{number}" for number in range(count)]
    wanted: list[Any] = [f"wanted{number}" for number in range(count)]
    crops: list[Any] = [None if number % 2 else number for number in range(count)]
    expected = list(zip(pictures, wanted, crops, strict=True))
    found = SplitBatches(runner, most).detect(pictures, wanted, crops)
    assert (parts, expected) == (runner.told, found.detections)
    assert (found.preprocess_s, found.infer_s, found.postprocess_s) == (count, 10 * count, 100 * count)
    assert not pictures


def test_copies_keep_their_place_in_the_whole_batch() -> None:
    pictures: list[Any] = [f"picture{number}" for number in range(7)]
    nothing: list[Any] = [None] * 7
    found = SplitBatches(Runner(), 3).detect(pictures, nothing, nothing, [0, 1, 0, 5, 0, 0, 2])
    assert found.copies == {1: "copy of picture1", 3: "copy of picture3", 6: "copy of picture6"}
    assert found.copy_bytes == 1000


def test_open_and_close_go_to_the_runner() -> None:
    runner = Runner()
    split = SplitBatches(runner, 4)
    split.open()
    split.close()
    assert runner.told == ["open", "close"]
