"""A daemon with many events, killed again and again; the broker is away at times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.neighbours.mosquitto import require_mosquitto

from lab.event_soak import soak

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e


def test_kills_and_outages_lose_no_event_and_count_none_twice(tmp_path: Path) -> None:
    require_mosquitto()
    report = soak(tmp_path, 6, outage_every=3, seed=3)
    assert report.faults == ()
    assert report.oldest_lost_s < 5.0
    assert (report.kills, report.outages) == (6, 2)
    assert report.events > 500
    assert report.replayed > 0
    assert report.lost <= report.taken - report.events + 1000
