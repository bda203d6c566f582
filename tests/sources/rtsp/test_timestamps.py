from __future__ import annotations

import pytest

from framelane.sources.rtsp.timestamps import ticks_between


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        (0, 0, 0),
        (100, 3700, 3600),
        (3700, 100, -3600),
        (0xFFFFFFFF, 0, 1),
        (0, 0xFFFFFFFF, -1),
        (0xFFFFF000, 0x00001000, 0x2000),
        (0, 0x7FFFFFFF, 0x7FFFFFFF),
        (0, 0x80000000, -0x80000000),
        (0x80000000, 0, -0x80000000),
    ],
)
def test_ticks_between_takes_the_shorter_way_when_time_stamps_wrap(
    earlier: int, later: int, expected: int
) -> None:
    assert expected == ticks_between(earlier, later)
