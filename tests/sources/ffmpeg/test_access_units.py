"""Access units from RTP payloads: whole, in order, and early once the sender's habits are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from framelane.sources.codecs.nal_units import NAL_SYNTAXES, START_CODE
from framelane.sources.ffmpeg.access_units import AccessUnit, AccessUnits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

IDR, SLICE, SPS, SEI = b"\x65", b"\x41", b"\x67", b"\x06"
UNNEEDED = b"\x01"  # nal_ref_idc 0
HEVC_IDR, HEVC_SLICE, HEVC_VPS = b"\x26\x01", b"\x02\x01", b"\x40\x01"
PIECE = 100  # bytes that this sender puts in a packet
LEARNT = 60  # pictures, a key frame every tenth


def nal(header: bytes, size: int = 20, *, first: bool = True) -> bytes:
    """A NAL unit; a slice is its picture's first where `first` says so."""
    return START_CODE + header + (b"\xaa" if first else b"\x2a") * (size - len(header))


def fragments(header: bytes, size: int, *, first: bool = True) -> list[bytes]:
    """A NAL unit in pieces: FFmpeg makes the start code and the header of the first one."""
    body = (b"\xbb" if first else b"\x2b") * size
    pieces = [body[at : at + PIECE] for at in range(0, size, PIECE)]
    return [START_CODE + header + pieces[0], *pieces[1:]]


def slices(header: bytes, count: int, size: int = 20) -> list[bytes]:
    """The slices of one picture, in a packet each."""
    return [nal(header, size, first=number == 0) for number in range(count)]


def payloads(pictures: Iterable[Sequence[bytes]], first: int = 0) -> list[tuple[bytes, int | None]]:
    return [(data, 100 * number) for number, picture in enumerate(pictures, first) for data in picture]


def fed(units: AccessUnits, given: Iterable[tuple[bytes, int | None]]) -> list[AccessUnit]:
    return [unit for data, pts in given for unit in units.feed(data, pts)]


def gop(key: Sequence[bytes], other: Sequence[bytes], count: int = LEARNT) -> list[Sequence[bytes]]:
    return [key if number % 10 == 0 else other for number in range(count)]


def late(units: AccessUnits, given: Iterable[tuple[bytes, int | None]]) -> list[int]:
    """For each unit: 0 if it came with a payload of its own, 1 if the next picture had to begin first."""
    return [int(unit.pts != pts) for data, pts in given for unit in units.feed(data, pts)]


def taught(pictures: Iterable[Sequence[bytes]], codec: str = "h264") -> AccessUnits:
    units = AccessUnits(NAL_SYNTAXES[codec])
    fed(units, payloads(pictures))
    return units


RECOVERY = START_CODE + SEI + b"\x05\x02ab\x06\x01\x80\x80"  # user data, then the recovery point
ONE = ([nal(SPS), nal(IDR)], [nal(SLICE)])
FOUR = ([nal(SPS), *slices(IDR, 4)], slices(SLICE, 4))
PIECES = ([nal(SPS), *fragments(IDR, 950)], fragments(SLICE, 250))
EXACT_ONCE = ([nal(SPS), *fragments(IDR, 930)], fragments(SLICE, 210))
FOUR_PIECES = (
    [nal(SPS), *fragments(IDR, 950), *fragments(IDR, 950, first=False)],
    [*fragments(SLICE, 130), *fragments(SLICE, 130, first=False)],
)
AGGREGATED = ([nal(SPS) + nal(SEI) + b"".join(slices(IDR, 2))], [b"".join(slices(SLICE, 2))])
HEVC = ([nal(HEVC_VPS), *fragments(HEVC_IDR, 250)], fragments(HEVC_SLICE, 150))
SHAPES = {
    "one slice": ("h264", ONE),
    "four slices": ("h264", FOUR),
    "pieces": ("h264", PIECES),
    "two slices in pieces": ("h264", FOUR_PIECES),
    "aggregated": ("h264", AGGREGATED),
    "hevc": ("hevc", HEVC),
}


@pytest.mark.parametrize(("codec", "pictures"), SHAPES.values(), ids=SHAPES.keys())
def test_feed_gives_whole_units_in_order(
    codec: str, pictures: tuple[Sequence[bytes], Sequence[bytes]]
) -> None:
    units = AccessUnits(NAL_SYNTAXES[codec])
    given = gop(*pictures, count=3 * LEARNT)
    found = fed(units, payloads(given)) + list(units.flush())
    assert [unit.data for unit in found] == [b"".join(picture) for picture in given]
    assert [unit.pts for unit in found] == [100 * number for number in range(len(given))]


@pytest.mark.parametrize(("codec", "pictures"), SHAPES.values(), ids=SHAPES.keys())
def test_feed_gives_a_unit_with_its_own_last_payload_when_it_has_learnt(
    codec: str, pictures: tuple[Sequence[bytes], Sequence[bytes]]
) -> None:
    units = AccessUnits(NAL_SYNTAXES[codec])
    lateness = late(units, payloads(gop(*pictures, count=100)))
    # Six pictures, of which the first is the key picture, and then the second key picture.
    assert lateness == [*[1] * 6, *[0] * 4, 1, *[0] * 89]
    assert units.early


def test_feed_waits_for_the_next_unit_when_it_has_seen_no_key_picture() -> None:
    units = AccessUnits(NAL_SYNTAXES["h264"])
    assert set(late(units, payloads([ONE[1]] * 200))) == {1}
    assert not units.early


def test_feed_counts_a_recovery_point_as_a_key_picture() -> None:
    """Encoders that refresh pictures bit by bit send no IDR after the first, which may have been before our time."""
    units = AccessUnits(NAL_SYNTAXES["h264"])
    found = fed(units, payloads(gop([RECOVERY, nal(SLICE)], ONE[1], count=100)))
    assert units.early
    assert [unit.key for unit in found[:12]] == [True, *[False] * 9, True, False]


def test_feed_waits_for_the_next_unit_when_slices_differ_in_key_pictures() -> None:
    """The encoder cuts slices by size, and the next picture may have two."""
    units = AccessUnits(NAL_SYNTAXES["h264"])
    assert set(late(units, payloads(gop(FOUR[0], ONE[1], count=200)))) == {1}


def test_feed_waits_for_the_next_unit_when_a_slice_is_larger_than_all_before_it() -> None:
    units = taught(gop(*ONE))
    cut = [[nal(SLICE, 30), nal(SLICE, 25, first=False)], *[ONE[1]] * 10]
    assert late(units, payloads(cut, first=LEARNT)) == [*[1] * 7, *[0] * 4]
    assert units.early


def test_feed_waits_for_the_next_unit_when_the_sender_divides_evenly() -> None:
    """No last piece is clearly shorter: a picture of two pieces would look like one of one."""
    key = [nal(SPS), START_CODE + IDR + b"\xbb" * 90, b"\xbb" * 90, b"\xbb" * 88]
    units = AccessUnits(NAL_SYNTAXES["h264"])
    fed(units, payloads([key, *[ONE[1]] * 20]))
    assert not units.early


def test_feed_learns_nothing_from_a_picture_that_lost_its_first_slice() -> None:
    units = taught(gop(*FOUR))
    torn = FOUR[1][1:]
    lateness = late(units, payloads([torn, *[FOUR[1]] * 10], first=LEARNT))
    assert lateness == [1, *[0] * 10]


def test_feed_goes_on_early_when_one_picture_lost_a_slice() -> None:
    units = taught(gop(*FOUR))
    lateness = late(units, payloads([FOUR[1][:-1], *[FOUR[1]] * 10], first=LEARNT))
    assert lateness == [*[1] * 7, *[0] * 4]


def test_feed_is_a_unit_late_when_the_last_piece_is_a_full_one() -> None:
    """It can't be told from a piece in the middle: the next unit ends it, and nothing is lost."""
    units = taught(gop(*PIECES))
    full, short = fragments(SLICE, 3 * PIECE), fragments(SLICE, 250)
    given = payloads([full, short, short], first=LEARNT)
    assert late(units, given) == [1, 0, 0]
    assert units.early


def test_feed_never_trusts_again_when_a_picture_has_more_slices_than_the_others() -> None:
    units = taught(gop(*ONE))
    assert units.early
    fed(units, payloads([slices(SLICE, 2)], first=LEARNT))
    assert not units.early
    assert set(late(units, payloads(gop(*ONE, count=200), first=LEARNT + 1))) == {1}


def test_feed_never_trusts_again_when_pieces_have_different_sizes() -> None:
    units = taught(gop(*PIECES))
    odd = [START_CODE + SLICE + b"\xbb" * PIECE, b"\xbb" * 70, b"\xbb" * PIECE]
    given = [*payloads([odd], first=LEARNT), *payloads(gop(*PIECES, count=100), first=LEARNT + 1)]
    found = fed(units, given)
    assert not units.early
    assert b"".join(unit.data for unit in found).startswith(b"".join(odd))


def test_feed_learns_anew_when_a_first_piece_was_lost() -> None:
    units = taught(gop(*PIECES))
    key = fragments(IDR, 950)
    given = [*payloads([key[1:]], first=LEARNT), *payloads(gop(*PIECES, count=150), first=LEARNT + 1)]
    lateness = late(units, given)
    assert lateness[1] == 1
    assert lateness[-1] == 0
    assert units.early


def test_feed_learns_anew_when_the_encoder_changes_its_slices() -> None:
    units = taught(gop(*FOUR))
    assert units.early
    lateness = late(units, payloads(gop(*ONE, count=150), first=LEARNT))
    assert lateness[0] == 1
    assert lateness[-1] == 0
    assert units.early


def test_feed_keeps_what_comes_before_the_first_slice_when_times_differ() -> None:
    """Some cameras stamp parameter sets apart from the key frame that needs them."""
    units = AccessUnits(NAL_SYNTAXES["h264"])
    given = [(nal(SPS), 50), *payloads([[nal(IDR)], [nal(SLICE)]], first=1)]
    found = fed(units, given)
    assert [(unit.data, unit.pts) for unit in found] == [(nal(SPS) + nal(IDR), 100)]


def test_feed_keeps_units_apart_when_times_lack() -> None:
    units = AccessUnits(NAL_SYNTAXES["h264"])
    given = [(nal(IDR), None), *payloads([[nal(SLICE)], [nal(SLICE)]], first=1)]
    found = fed(units, given)
    assert [unit.pts for unit in found] == [None, 100]


@pytest.mark.parametrize("lead", [[], [nal(SPS), nal(SEI)], [nal(b"\x09")]])
def test_feed_keeps_pictures_apart_when_their_times_are_equal(lead: list[bytes]) -> None:
    """Fields, a clock that stands still, and the first two pictures of one that begins at 0."""
    units = AccessUnits(NAL_SYNTAXES["h264"])
    pictures = [[nal(SPS), nal(IDR)], [*lead, *slices(SLICE, 2)], [*lead, *slices(SLICE, 2)]]
    found = [unit for picture in pictures for data in picture for unit in units.feed(data, 0)]
    found += units.flush()
    assert [unit.data for unit in found] == [b"".join(picture) for picture in pictures]


def test_feed_stays_early_when_times_are_equal() -> None:
    units = taught(gop(*PIECES))
    given = [(data, 7) for picture in gop(*PIECES, count=30) for data in picture]
    assert len(fed(units, given)) == 30
    assert units.early


def test_feed_gives_up_a_unit_when_it_grows_without_end() -> None:
    units = AccessUnits(NAL_SYNTAXES["h264"])
    piece = b"\xbb" * (1 << 20)
    units.feed(nal(IDR), 0)
    for _ in range(17):
        units.feed(piece, 0)
    assert list(units.flush()) == []


def test_flush_gives_nothing_when_no_slice_came() -> None:
    units = AccessUnits(NAL_SYNTAXES["h264"])
    assert list(units.feed(nal(SPS), 0)) == []
    assert list(units.flush()) == []


KEY, NEEDED, DISPOSABLE = (True, False), (False, False), (False, True)


@pytest.mark.parametrize(
    ("codec", "nals", "expected"),
    [
        ("h264", [nal(SPS), nal(IDR)], KEY),
        ("h264", [nal(SLICE)], NEEDED),
        ("h264", [nal(UNNEEDED)], DISPOSABLE),
        ("h264", [nal(UNNEEDED), nal(SLICE)], NEEDED),
        ("h264", [nal(b"\x09"), nal(UNNEEDED), nal(UNNEEDED)], DISPOSABLE),
        ("h264", [RECOVERY, nal(SLICE)], KEY),
        ("h264", [nal(SEI), nal(SLICE)], NEEDED),
        ("h264", [START_CODE + SEI + b"\x01\x03\x06\x01\x80\x80", nal(SLICE)], NEEDED),
        ("h264", [START_CODE + SEI + b"\x05\xff\x01" + b"\x07" * 256 + b"\x06\x01\x80\x80", nal(SLICE)], KEY),
        ("h264", [START_CODE + SEI + b"\x06", nal(SLICE)], KEY),
        ("h264", [START_CODE + SEI + b"\xff\xff", nal(SLICE)], NEEDED),
        ("hevc", [nal(HEVC_VPS), nal(HEVC_IDR)], KEY),
        ("hevc", [nal(b"\x2a\x01")], KEY),  # CRA
        ("hevc", [nal(b"\x20\x01")], KEY),  # BLA_W_LP
        ("hevc", [nal(b"\x02\x01")], NEEDED),  # TRAIL_R
        ("hevc", [nal(b"\x00\x01")], DISPOSABLE),  # TRAIL_N
        ("hevc", [nal(b"\x10\x01")], DISPOSABLE),  # RASL_N
        ("hevc", [nal(b"\x1c\x01")], DISPOSABLE),  # RSV_VCL_N14
        ("hevc", [nal(b"\x1e\x01")], NEEDED),  # RSV_VCL_R15
        ("hevc", [nal(b"\x4e\x01"), nal(b"\x02\x01")], NEEDED),
    ],
)
def test_unit_tells_whether_decoding_can_start_and_whether_others_need_it(
    codec: str, nals: list[bytes], expected: tuple[bool, bool]
) -> None:
    units = AccessUnits(NAL_SYNTAXES[codec])
    fed(units, payloads([nals]))
    (unit,) = units.flush()
    assert (unit.key, unit.disposable) == expected
