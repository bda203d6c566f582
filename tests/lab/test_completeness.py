"""What a subscriber makes of live and replayed messages."""

from __future__ import annotations

import pytest
from tests.sinks.examples import detections

from framelane.messages.detections import as_replayed
from lab.completeness import Completeness, Roll


@pytest.mark.parametrize(
    ("came", "expected"),
    [
        ("1 2 3", Completeness(live=3)),
        ("1 2 4 3", Completeness(live=4, disordered=1)),
        ("1 4 5", Completeness(live=3, missing=2)),
        ("1 4 2r 3r 5", Completeness(live=3, replayed=2)),
        ("4 3r 2r 1", Completeness(live=2, replayed=2, disordered=2)),
        ("1 2 2r", Completeness(live=2, replayed=1, repeated=1)),
    ],
)
def test_roll_tells_what_is_missing_repeated_or_out_of_order(came: str, expected: Completeness) -> None:
    roll = Roll()
    for word in came.split():
        message = detections(int(word.rstrip("r")))
        roll.book((as_replayed(message) if word.endswith("r") else message).payload)
    roll.book(b'{"schema":"framelane.state/1"}')
    assert roll.told() == expected
