"""What the first bytes of NAL units say."""

from __future__ import annotations

import pytest

from framelane.sources.codecs.nal_units import NAL_SYNTAXES, START_CODE, NalKind, recovery_frames

H264, HEVC = NAL_SYNTAXES["h264"], NAL_SYNTAXES["hevc"]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param(0x41, NalKind(slice=True, reference=True), id="P slice"),
        pytest.param(0x01, NalKind(slice=True), id="disposable slice"),
        pytest.param(0x61, NalKind(slice=True, reference=True), id="highest nal_ref_idc"),
        pytest.param(0x02, NalKind(slice=True), id="partition A"),
        pytest.param(0x03, NalKind(), id="partition B"),
        pytest.param(0x65, NalKind(slice=True, key=True, reference=True), id="IDR"),
        pytest.param(0x06, NalKind(sei=True, leads=True), id="SEI"),
        pytest.param(0x67, NalKind(leads=True, sets=1), id="SPS"),
        pytest.param(0x68, NalKind(leads=True, sets=2), id="PPS"),
        pytest.param(0x09, NalKind(leads=True), id="delimiter"),
        pytest.param(0x0A, NalKind(), id="end of sequence"),
        pytest.param(0x0C, NalKind(), id="filler"),
        pytest.param(0x1F, NalKind(), id="unspecified"),
    ],
)
def test_h264_kind_is_that_of_the_table(header: int, expected: NalKind) -> None:
    assert expected == H264.kinds[header]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        pytest.param(0, NalKind(slice=True), id="TRAIL_N"),
        pytest.param(1, NalKind(slice=True, reference=True), id="TRAIL_R"),
        pytest.param(8, NalKind(slice=True), id="RASL_N"),
        pytest.param(15, NalKind(slice=True, reference=True), id="last below IRAP"),
        pytest.param(16, NalKind(slice=True, key=True, reference=True), id="BLA_W_LP"),
        pytest.param(20, NalKind(slice=True, key=True, reference=True), id="IDR_N_LP"),
        pytest.param(21, NalKind(slice=True, key=True, reference=True), id="CRA"),
        pytest.param(23, NalKind(slice=True, key=True, reference=True), id="last IRAP"),
        pytest.param(24, NalKind(slice=True, reference=True), id="reserved"),
        pytest.param(32, NalKind(leads=True, sets=1), id="VPS"),
        pytest.param(33, NalKind(leads=True, sets=2), id="SPS"),
        pytest.param(34, NalKind(leads=True, sets=4), id="PPS"),
        pytest.param(35, NalKind(leads=True), id="delimiter"),
        pytest.param(36, NalKind(), id="end of sequence"),
        pytest.param(39, NalKind(leads=True), id="prefix SEI"),
        pytest.param(40, NalKind(), id="suffix SEI"),
        pytest.param(63, NalKind(), id="unspecified"),
    ],
)
def test_hevc_kind_is_that_of_the_table_whatever_the_layer(kind: int, expected: NalKind) -> None:
    assert (expected, expected) == (HEVC.kinds[kind << 1], HEVC.kinds[kind << 1 | 1])


@pytest.mark.parametrize(
    ("header", "at", "expected"),
    [(b"\x02\x01", 0, 0), (b"\x02\x03", 0, 2), (b"\x02\xff", 0, 6), (b"\0\0\x02\x02", 2, 1), (b"\x02", 0, 0)],
)
def test_layer_is_the_temporal_id_when_the_codec_is_hevc(header: bytes, at: int, expected: int) -> None:
    assert (expected, 0) == (HEVC.layer(header, at), H264.layer(header, at))


@pytest.mark.parametrize(
    ("codec", "unit", "expected"),
    [
        pytest.param("h264", "65 80", True, id="first slice"),
        pytest.param("h264", "65 7f", False, id="a later slice"),
        pytest.param("h264", "65", False, id="a slice without its first byte"),
        pytest.param("h264", "67", True, id="a parameter set"),
        pytest.param("h264", "0c 80", False, id="filler"),
        pytest.param("hevc", "26 01 80", True, id="first slice of HEVC"),
        pytest.param("hevc", "26 01 7f", False, id="a later slice of HEVC"),
        pytest.param("hevc", "26 80", False, id="the second byte of the header is none of the slice"),
        pytest.param("hevc", "50 01 80", False, id="suffix SEI"),
    ],
)
def test_begins_tells_where_a_picture_may_begin(codec: str, unit: str, *, expected: bool) -> None:
    data = b"\xff" + START_CODE + bytes.fromhex(unit)
    assert expected is NAL_SYNTAXES[codec].begins(data, 1)


@pytest.mark.parametrize(
    ("sei", "expected"),
    [
        pytest.param("06 01 c4 80", 0, id="correct at once"),
        pytest.param("06 01 4f 80", 1, id="one frame"),
        pytest.param("06 01 16 80", 10, id="ten frames"),
        pytest.param("05 02 06 01 06 01 4f 80", 1, id="after another message"),
        pytest.param(f"ff 05 03 {'00 ff ee'} 06 01 4f 80", 1, id="after a type above 255"),
        pytest.param(f"05 ff 02 {'06' * 257} 06 01 4f 80", 1, id="after a size above 255"),
        pytest.param("05 03 00 00 03 01 06 01 4f 80", 1, id="after an emulation prevention byte"),
        pytest.param("05 02 06 01 80", None, id="none"),
        pytest.param("80", None, id="nothing"),
        pytest.param("", None, id="empty"),
        pytest.param("06", 0, id="cut after its type"),
        pytest.param("06 03 00", 0, id="cut within its number"),
        pytest.param("ff ff ff", None, id="a type that does not end"),
        pytest.param("05 40 06 01", None, id="a size beyond the end"),
    ],
)
def test_recovery_frames_are_those_of_the_recovery_point(sei: str, expected: int | None) -> None:
    assert expected == recovery_frames(bytes.fromhex(sei))
