"""What viewers get, for tests of all the ways to it."""

from __future__ import annotations

from framelane.live.records import HEADER_BYTES, Kind, Record, payload_bytes, unpack


class Kept:
    """A viewer that keeps everything."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def put(self, record: Record) -> None:
        self.records.append(record)

    def times(self, kind: Kind) -> list[float]:
        return [record.media_s for record in self.records if record.kind is kind]


def records(message: bytes) -> list[tuple[int, Record]]:
    """Return the channels and records of a message."""
    found = []
    while message:
        size = HEADER_BYTES + payload_bytes(message[:HEADER_BYTES])
        found.append(unpack(message[:HEADER_BYTES], message[HEADER_BYTES:size]))
        message = message[size:]
    return found
