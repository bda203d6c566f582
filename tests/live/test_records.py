from __future__ import annotations

import pytest

from framelane.live.records import HEADER_BYTES, Kind, Record, payload_bytes, unpack


@pytest.mark.parametrize("kind", Kind)
def test_a_record_is_unpacked_as_it_was_packed(kind: Kind) -> None:
    record = Record(kind, 12.25, 1_796_000_000.5, b"abc", key=kind is Kind.VIDEO)
    header = record.header(513)
    assert (len(header), payload_bytes(header)) == (HEADER_BYTES, 3)
    assert unpack(header, b"abc") == (513, record)


def test_an_unknown_kind_is_refused() -> None:
    header = bytearray(Record(Kind.VIDEO, 0.0, 0.0, b"").header(0))
    header[4] = 99
    with pytest.raises(ValueError, match="99"):
        unpack(bytes(header), b"")
