"""How late results are by their cameras' time stamps."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from lab.lateness import UNKNOWN, Lateness, Sighting, Witness, lateness, stretches

CAPTURED = "2026-11-22T09:00:00.500000Z"
CAPTURED_AT = 1_795_338_000.5


def sighting(*, arrived_s: float, pts_s: float, claimed_s: float = 0.05) -> Sighting:
    return Sighting("lobby", arrived_s, 1000.0 + arrived_s, pts_s, 1000.0 + 10.0 + pts_s, "rtcp", claimed_s)


def test_result_is_as_late_as_its_picture_was_sent_before() -> None:
    (found,) = lateness([sighting(arrived_s=15.5, pts_s=5.0)], {"lobby": [10.0]})

    assert (found.true_s, found.captured_off_s) == (pytest.approx(0.5), pytest.approx(0.0))
    assert found.untold_s == pytest.approx(0.45)


def test_capture_time_that_is_off_is_told() -> None:
    off = Sighting("lobby", 40.0, 1040.0, 5.0, 1039.0, "receive", 1.0)

    (found,) = lateness([off], {"lobby": [10.0]})

    assert (found.true_s, found.captured_off_s, found.untold_s) == (25.0, 24.0, 24.0)


def test_jump_back_of_pts_is_the_next_session() -> None:
    plays_s = {"lobby": [10.0, 50.0, 80.0]}
    seen = [
        sighting(arrived_s=51.0, pts_s=39.0),  # late, of the session that has just ended
        sighting(arrived_s=52.0, pts_s=1.0),
        sighting(arrived_s=82.0, pts_s=31.0),
    ]

    assert [found.true_s for found in lateness(seen, plays_s)] == [2.0, 1.0, 1.0]


def test_result_that_fits_no_session_is_left_out() -> None:
    assert lateness([sighting(arrived_s=5.0, pts_s=1.0)], {"lobby": [10.0]}) == []
    assert lateness([sighting(arrived_s=5.0, pts_s=1.0)], {}) == []


def test_stretches_cover_the_run_and_count_streams() -> None:
    found = [
        Lateness(name, at_s, 0.2, 0.1, 0.0, "rtcp") for name, at_s in (("a", 1.0), ("b", 2.0), ("a", 21.0))
    ]

    spread = stretches(found, 0.0, 25.0, 10.0)

    assert [(each.begin_s, each.end_s, each.results, each.streams) for each in spread] == [
        (0.0, 10.0, 2, 2),
        (10.0, 25.0, 1, 1),
    ]
    assert spread[0].late_ms is not None
    assert spread[0].untold_ms is not None
    assert (spread[0].late_ms.most, spread[0].untold_ms.p50) == (pytest.approx(200.0), pytest.approx(100.0))


def message(schema: str, **body: Any) -> bytes:
    return orjson.dumps({"schema": f"framelane.{schema}/1", "stream": "lobby", **body})


def test_witness_books_results_states_and_drops() -> None:
    witness = Witness()
    result = {"captured_at": CAPTURED, "pts": 2.5, "clock": "rtcp", "latency_ms": {"total": 40.0}}
    witness.book(message("state", state="connecting", reason="opening", reconnects=0), 10.0, 0.0)
    witness.book(message("state", state="live", reason="ok", reconnects=1), 12.0, 0.0)
    witness.book(message("detections", **result), 13.0, CAPTURED_AT)
    for _ in range(2):
        witness.book(message("stats", dropped={"late": 3, "fps": 0}), 14.0, 0.0)
    witness.book(b"", 14.0, 0.0)

    assert [Sighting("lobby", 13.0, CAPTURED_AT, 2.5, CAPTURED_AT, "rtcp", 0.04)] == witness.sightings
    assert (witness.reasons, witness.reconnects) == ({"late": 6}, 1)
    assert witness.shares(["lobby", "yard"], 10, 20) == {
        "live/ok": 0.4,
        UNKNOWN: 0.5,
        "connecting/opening": 0.1,
    }
