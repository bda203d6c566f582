from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest

from framelane.events.counters import last_reset

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time with a change of the clocks on 2026-03-29 and 2026-10-25."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("time_of_day", "now", "expected"),
    [
        ("00:00", "2026-07-01T12:00", "2026-06-30T22:00"),
        ("00:00", "2026-06-30T22:00", "2026-06-30T22:00"),
        ("00:00", "2026-06-30T21:59", "2026-06-29T22:00"),
        ("23:59", "2026-01-01T12:00", "2025-12-31T22:59"),
        ("12:00", "2026-10-25T10:59", "2026-10-24T10:00"),
        ("12:00", "2026-10-25T11:00", "2026-10-25T11:00"),
        # The hour from 2 to 3 comes twice: the first counts, and only that.
        ("02:30", "2026-10-25T00:30", "2026-10-25T00:30"),
        ("02:30", "2026-10-25T01:45", "2026-10-25T00:30"),
        # It does not come at all.
        ("02:30", "2026-03-29T12:00", "2026-03-29T01:30"),
    ],
)
def test_last_reset_is_when_the_local_clock_last_showed_it(time_of_day: str, now: str, expected: str) -> None:
    assert last_reset(time_of_day, utc(now)) == utc(expected)
