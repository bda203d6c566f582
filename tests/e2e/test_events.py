"""A daemon with many events, killed again and again; the broker is away or the disk is full at times."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.neighbours.mosquitto import require_mosquitto

from lab.event_crowd import endure
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


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a file system that can be filled")
def test_outage_and_full_disk_lose_no_event_and_change_no_entity_late(tmp_path: Path) -> None:
    require_mosquitto()
    report = endure(tmp_path, outage_s=6, full_disk_s=6)
    assert report.faults == ()
    assert (report.lost, report.untold > 0) == (0, True)
    # Events and detections waited.
    assert report.replayed > 0
    assert report.late_states > 0
