"""Access units as MP4 samples: lengths instead of start codes, without what the initialization segment has."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest
from tests.live.coded import Kind, recording

from framelane.live.mp4.sample import sample

if TYPE_CHECKING:
    from framelane.sources.codecs.parameter_sets import NalCodec

SPS, PPS, DELIMITER, SEI, IDR, SLICE = b"\x67abc", b"\x68d", b"\x09\x10", b"\x06e", b"\x65key", b"\x41other"
VPS, SPS_265, IDR_265 = b"\x40\x01v", b"\x42\x01s", b"\x26\x01key"


def units(*nals: bytes, start: bytes = b"\x00\x00\x00\x01") -> bytes:
    return b"".join(start + nal for nal in nals)


def lengths(data: bytes) -> list[bytes]:
    """The NAL units of a sample."""
    found = []
    while data:
        end = 4 + int.from_bytes(data[:4], "big")
        found.append(data[4:end])
        data = data[end:]
    return found


@pytest.mark.parametrize(
    ("codec", "unit", "expected"),
    [
        ("h264", units(DELIMITER, SPS, PPS, SEI, IDR), [SEI, IDR]),
        ("h264", units(SLICE, SLICE, start=b"\x00\x00\x01"), [SLICE, SLICE]),
        ("h264", units(IDR) + b"\x00\x00", [IDR]),
        ("hevc", units(VPS, SPS_265, IDR_265), [IDR_265]),
        ("h264", units(SPS, PPS), []),
    ],
    ids=["parameter sets", "short start codes", "padding", "H.265", "nothing to show"],
)
def test_sample_has_what_is_decoded_and_nothing_else(
    codec: NalCodec, unit: bytes, expected: list[bytes]
) -> None:
    assert lengths(sample(codec, unit)) == expected


def test_unit_that_has_lengths_already_stays_as_it_is() -> None:
    """As FLV has them."""
    data = len(IDR).to_bytes(4, "big") + IDR
    assert sample("h264", data) == data


@pytest.mark.parametrize("kind", get_args(Kind))
def test_encoders_units_become_samples_of_their_slices(kind: Kind) -> None:
    made = recording(kind)
    codec: NalCodec = made.codec  # type: ignore[assignment] # H.264 or H.265
    for coded in made.units:
        nals = lengths(sample(codec, coded.data))
        assert nals
        assert all(nal in coded.data for nal in nals)
        assert all(nal not in made.extradata for nal in nals)
