"""Messages as rows: they come back as replayed, and damage is found and named."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from tests.sinks.examples import detections

from framelane.messages.rows import checksum, columns_of, found_in


def row(number: int, at: Any = 1000.0) -> tuple[Any, ...]:
    return (number, at, *columns_of(detections(number)))


def test_message_comes_back_as_replayed_with_its_row_and_time() -> None:
    found = found_in([row(7), row(9, 1001.5)], "detections", 6)
    assert [(each.row, each.at, each.message.stream) for each in found.entries] == [
        (7, 1000.0, "lobby"),
        (9, 1001.5, "lobby"),
    ]
    bodies = [orjson.loads(each.message.payload) for each in found.entries]
    assert [(body["seq"], body["replayed"]) for body in bodies] == [(7, True), (9, True)]
    assert (found.unreadable, found.last_row) == ([], 9)


def test_nothing_found_means_that_nothing_follows_the_row() -> None:
    assert found_in([], "detections", 6) == ([], [], 6)


@pytest.mark.parametrize(
    ("column", "value"),
    [(1, "yesterday"), (1, None), (2, b"hall"), (2, "lobby"), (3, b"{}"), (3, None), (4, 0), (4, None)],
)
def test_row_that_has_changed_is_unreadable_and_the_others_are_not(column: int, value: object) -> None:
    bad = list(row(8))
    bad[column] = value
    found = found_in([row(7), tuple(bad), row(9)], "detections", 6)
    assert ([each.row for each in found.entries], found.unreadable, found.last_row) == ([7, 9], [8], 9)


def test_stream_that_is_no_text_is_unreadable_though_its_checksum_is_right() -> None:
    payload = detections(8).payload
    found = found_in([(8, 1000.0, b"\xff", payload, checksum(b"\xff", payload))], "detections", 7)
    assert (found.entries, found.unreadable) == ([], [8])


def test_payload_that_can_not_be_replayed_is_unreadable() -> None:
    payload = b'{"no":"such key"}'
    found = found_in([(8, 1000.0, b"lobby", payload, checksum(b"lobby", payload))], "detections", 7)
    assert (found.entries, found.unreadable) == ([], [8])


def test_checksum_depends_on_the_order_of_the_bytes_and_not_on_their_division() -> None:
    assert checksum(b"ab", b"c") == checksum(b"a", b"bc") == checksum(b"abc") != checksum(b"acb")
