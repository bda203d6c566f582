"""Access units from RTP payloads: what they hold, when they are handed on, and what is said of damaged ones."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sources.rtsp.payloads import (
    CODECS,
    TICKS,
    Codec,
    Packet,
    Reader,
    aggregate,
    annex_b,
    fragments,
    lose,
    nal,
    picture,
    slices,
)

from framelane.sources.rtsp.units import RtpUnits

if TYPE_CHECKING:
    from typing import Literal

    from framelane.sources.rtsp.rtp_unit import RtpUnit

both = pytest.mark.parametrize("codec", CODECS)


def film(
    codec: Codec, count: int, slice_count: int = 3, marks: Literal["last", "all", "none"] = "last"
) -> list[list[Packet]]:
    """Pictures, the first of which is a key frame."""
    return [
        picture(TICKS * n, *slices(codec, "slice" if n else "key", slice_count), marks=marks)
        for n in range(count)
    ]


def proven(codec: Codec) -> Reader:
    """A reader that trusts marks: three packets of three pictures each, numbers 0 to 8, have been fed."""
    return Reader(codec).feed(*film(codec, 3))


@both
def test_units_hold_whole_nal_units_behind_start_codes(codec: Codec) -> None:
    sets, key = nal(codec, "sets"), nal(codec, "key", 50)
    reader = Reader(codec).feed(picture(0, sets, key))
    reader.rtp.flush()
    assert [unit.data for unit in reader.units] == [annex_b(sets, key)]


@both
def test_units_take_aggregates_apart(codec: Codec) -> None:
    nals = nal(codec, "sets"), nal(codec, "sets", 5), nal(codec, "key", 50)
    reader = Reader(codec).feed(picture(0, aggregate(codec, nals)))
    reader.rtp.flush()
    assert [(unit.data, unit.key, unit.whole) for unit in reader.units] == [(annex_b(*nals), True, True)]


@both
@pytest.mark.parametrize("size", [1, 7, 100, 299])
def test_units_put_fragments_together(codec: Codec, size: int) -> None:
    whole = nal(codec, "key", 300)
    reader = Reader(codec).feed(picture(0, nal(codec, "sets"), *fragments(codec, whole, size)))
    reader.rtp.flush()
    assert [(unit.data, unit.key, unit.whole) for unit in reader.units] == [
        (annex_b(nal(codec, "sets"), whole), True, True)
    ]


@both
def test_units_come_with_their_own_last_packet_once_the_mark_has_proved_right(codec: Codec) -> None:
    reader = Reader(codec).feed(*film(codec, 4))
    # The first one comes with the first packet of the second: number 3.
    assert reader.came_with == [3, 5, 8, 11]
    assert reader.whole == [True] * 4


@both
def test_units_come_a_picture_late_when_marks_may_not_end_them(codec: Codec) -> None:
    reader = Reader(codec, early=False).feed(*film(codec, 4))
    assert reader.came_with == [3, 6, 9]


@both
@pytest.mark.parametrize("marks", ["all", "none"])
def test_units_end_where_the_next_begins_when_marks_tell_nothing(
    codec: Codec, marks: Literal["all", "none"]
) -> None:
    reader = Reader(codec).feed(*film(codec, 5, marks=marks))
    assert (reader.came_with, reader.whole) == ([3, 6, 9, 12], [True] * 4)
    assert reader.units[0].data == annex_b(*slices(codec, "key", 3))


@both
def test_a_mark_that_turns_out_wrong_is_never_trusted_again(codec: Codec) -> None:
    """Pictures of three slices have taught that marks are right; then each slice has one."""
    large = [picture(TICKS * n, *slices(codec, "slice", 3), marks="all") for n in range(3, 7)]
    reader = proven(codec).feed(*large)
    # Nobody can tell of the first slice of picture 3 that it isn't all; the rest of it is flagged.
    assert reader.came_with == [3, 5, 8, 9, 12, 15, 18]
    assert reader.whole == [True, True, True, True, False, True, True]
    assert reader.rtp.refuted
    reader.feed(*(picture(TICKS * n, *slices(codec, "slice", 2)) for n in range(7, 10)))
    assert reader.came_with[7:] == [21, 23, 25]


@both
def test_a_mark_in_the_middle_of_a_nal_unit_is_never_trusted_again(codec: Codec) -> None:
    pieces = fragments(codec, nal(codec, "slice", 300), 100)
    reader = proven(codec).feed(*(picture(TICKS * n, *pieces, marks="all") for n in range(3, 7)))
    # Of picture 3 a piece went out as if it were all; the flag for its rest is the fourth's.
    assert reader.whole == [True, True, True, True, False, True]
    assert reader.came_with == [3, 5, 8, 9, 15, 18]


@both
@pytest.mark.parametrize("together", [True, False])
def test_a_first_picture_of_one_packet_teaches_nothing_of_marks(codec: Codec, together: bool) -> None:  # noqa: FBT001
    """A camera that marks every packet, and whose first picture has but one, would be believed."""
    nals = [nal(codec, "sets"), nal(codec, "key")] if together else [nal(codec, "key")]
    first = picture(0, aggregate(codec, nals) if together else nals[0])
    small = [picture(TICKS * n, nal(codec, "slice")) for n in range(1, 5)]
    large = [picture(TICKS * n, *slices(codec, "slice", 3), marks="all") for n in range(5, 9)]
    reader = Reader(codec).feed(first, *small, *large)
    assert reader.whole == [True] * 8
    assert reader.came_with == [1, 2, 3, 4, 5, 8, 11, 14]
    assert not reader.rtp.proven


@both
def test_parameter_sets_of_another_time_stamp_teach_nothing_of_marks(codec: Codec) -> None:
    sets = picture(0, nal(codec, "sets"), nal(codec, "sets"), marks="all")
    large = [picture(TICKS * n, *slices(codec, "slice", 3), marks="all") for n in range(2, 5)]
    reader = Reader(codec).feed(sets, picture(TICKS, nal(codec, "key")), *large)
    assert reader.whole == [True] * 3
    assert not reader.rtp.proven


@both
def test_marks_are_believed_when_key_frames_of_one_packet_have_them(codec: Codec) -> None:
    """No other picture is as large as a key frame, so that none has more packets."""
    film = [picture(TICKS * n, nal(codec, "slice" if n % 3 else "key")) for n in range(6)]
    reader = Reader(codec).feed(*film)
    # The second key frame, picture 3, is known to be right with the packet behind it.
    assert reader.came_with == [1, 2, 3, 4, 4, 5]
    assert reader.rtp.proven


@both
def test_marks_are_believed_as_soon_as_a_picture_of_many_packets_has_one_at_its_end(codec: Codec) -> None:
    small = [picture(TICKS * n, nal(codec, "slice" if n else "key")) for n in range(2)]
    large = [picture(TICKS * n, *slices(codec, "slice", 3)) for n in range(2, 4)]
    reader = Reader(codec).feed(*small, *large)
    assert reader.came_with == [1, 2, 5, 7]


@both
@pytest.mark.parametrize("marks", ["last", "all", "none"])
@pytest.mark.parametrize("leaders", [["sets"], ["sets", "sets"], ["aud", "sets", "sei"]])
def test_parameter_sets_between_the_slices_of_a_picture_do_not_end_it(
    codec: Codec, marks: Literal["last", "all", "none"], leaders: list[str]
) -> None:
    """GStreamer sends them before each slice of a key frame, all with one time stamp."""
    sets = [nal(codec, kind) for kind in leaders]
    key = [part for one in slices(codec, "key", 3) for part in (*sets, one)]
    reader = Reader(codec)
    for number in range(3):
        reader.feed(picture(TICKS * number, *key, marks=marks))
    reader.rtp.flush()
    assert [unit.data for unit in reader.units] == [annex_b(*sets, *slices(codec, "key", 3))] * 3
    assert [(unit.key, unit.whole) for unit in reader.units] == [(True, True)] * 3
    last = [len(key) * number - 1 for number in range(1, 4)]
    assert reader.came_with == (
        [last[0] + 1, *last[1:]] if marks == "last" else [last[0] + 1, last[1] + 1, last[2]]
    )


@both
def test_a_slice_that_is_lost_between_parameter_sets_flags_the_picture(codec: Codec) -> None:
    sets = nal(codec, "sets")
    key = [part for one in slices(codec, "key", 3) for part in (sets, one)]
    reader = Reader(codec).feed(lose(picture(0, *key), 3), *film(codec, 3)[1:])
    assert reader.whole == [False, True, True]


@both
def test_parameter_sets_behind_the_last_slice_go_with_the_next_picture(codec: Codec) -> None:
    """Even if they have the time stamp of the picture before."""
    sets, key = nal(codec, "sets"), nal(codec, "key")
    reader = Reader(codec).feed(
        picture(0, *slices(codec, "key", 2)), Packet(sets, 0), picture(TICKS, key), picture(2 * TICKS, key)
    )
    assert [unit.data for unit in reader.units] == [
        annex_b(*slices(codec, "key", 2)),
        annex_b(sets, key),
        annex_b(key),
    ]
    assert reader.came_with == [3, 3, 4]


def test_a_recovery_point_behind_the_last_slice_is_of_the_next_picture() -> None:
    recovery = Packet(b"\x06\x06\x01\xc4\x80", 0)
    pictures = [picture(0, nal("h264", "slice"), marks="none") for _ in range(2)]
    reader = Reader("h264").feed(pictures[0], recovery, pictures[1])
    reader.rtp.flush()
    assert [unit.key for unit in reader.units] == [False, True]


@both
def test_damaged_pictures_teach_nothing_of_marks(codec: Codec) -> None:
    """Each slice is marked. Of the first picture's three one is left, so that it looks as if marks ended pictures."""
    reader = Reader(codec).feed(lose(film(codec, 1, marks="all")[0], 1, 2), *film(codec, 4, marks="all")[1:])
    assert reader.came_with == [3, 6, 9]


@both
def test_a_lost_mark_does_not_cost_the_trust_in_marks(codec: Codec) -> None:
    reader = proven(codec)
    pictures = film(codec, 6)[3:]
    reader.feed(lose(pictures[0], 2), *pictures[1:])
    assert reader.came_with[3:] == [12, 14, 17]


@both
@pytest.mark.parametrize("leader", ["", "aud", "sets", "sei"])
def test_pictures_with_one_time_stamp_end_where_the_next_begins(codec: Codec, leader: str) -> None:
    head = [nal(codec, leader)] if leader else []
    pictures = [[*head, *slices(codec, "slice", 2)] for _ in range(3)]
    reader = Reader(codec).feed(*(picture(0, *each, marks="none") for each in pictures))
    reader.rtp.flush()
    assert [unit.data for unit in reader.units] == [annex_b(*each) for each in pictures]
    assert [unit.pts for unit in reader.units] == [0, 0, 0]
    count = len(pictures[0])
    # What leads to a picture may also stand between two slices of one: the slice behind it tells.
    lead = len(head)
    assert reader.came_with == [count + lead, 2 * count + lead, 3 * count - 1]
    # A camera's clock that stands still must not make its pictures look old.
    assert [unit.read_s for unit in reader.units] == [0, count, 2 * count]


@both
@pytest.mark.parametrize("sets_stamp", [2 * TICKS, 2 * TICKS + 5, 3 * TICKS])
def test_parameter_sets_go_with_the_next_picture_whatever_their_time_stamp(
    codec: Codec, sets_stamp: int
) -> None:
    reader = proven(codec)
    sets, key = nal(codec, "sets"), nal(codec, "key")
    reader.feed(picture(sets_stamp, sets, marks="none"), picture(3 * TICKS, key))
    assert (reader.units[-1].data, reader.units[-1].pts) == (annex_b(sets, key), 3 * TICKS)
    assert reader.whole == [True] * 4


@both
def test_parameter_sets_that_are_marked_are_no_picture(codec: Codec) -> None:
    reader = proven(codec)
    sets, key = nal(codec, "sets"), nal(codec, "key")
    reader.feed(picture(3 * TICKS, sets), picture(3 * TICKS, key), picture(4 * TICKS, nal(codec, "slice")))
    assert [unit.data for unit in reader.units[3:]] == [annex_b(sets, key), annex_b(nal(codec, "slice"))]
    assert reader.came_with[3:] == [10, 11]


@both
@pytest.mark.parametrize(
    ("lost", "flagged"),
    [
        ([10], [3]),  # in the middle of picture 3, whose packets are 9 to 11
        ([9], [3]),  # its begin
        ([11], [3, 4]),  # its end, which may have been the begin of the next
        ([11, 12], [3, 4]),
        ([9, 10, 11], [3]),  # a whole picture is missing, so that what comes as the next is flagged
        ([9, 10, 11, 12, 13, 14], [3]),
    ],
)
def test_lost_packets_flag_the_pictures_that_lack_them(
    codec: Codec, lost: list[int], flagged: list[int]
) -> None:
    reader = Reader(codec).feed(lose([packet for each in film(codec, 7) for packet in each], *lost))
    assert [number for number, whole in enumerate(reader.whole) if not whole] == flagged


@both
@pytest.mark.parametrize("lost", [[0], [1], [2], [0, 1, 2]])
def test_a_key_frame_whose_begin_is_there_is_whole_whatever_is_missing_before_it(
    codec: Codec, lost: list[int]
) -> None:
    reader = proven(codec)
    before = [*film(codec, 4)[3], *picture(4 * TICKS, nal(codec, "sets"), *slices(codec, "key", 2))]
    reader.feed(lose(before, *lost))
    assert (reader.units[-1].key, reader.units[-1].whole) == (True, True)


@both
@pytest.mark.parametrize("lost", [1, 2, 3, 4])
def test_a_key_frame_that_lacks_a_packet_is_not_whole(codec: Codec, lost: int) -> None:
    pieces = fragments(codec, nal(codec, "key", 300), 100)
    key = picture(3 * TICKS, nal(codec, "sets"), *pieces, nal(codec, "key", first=False))
    reader = proven(codec).feed(lose(key, lost), *film(codec, 6)[4:])
    # With its end the begin of the next one may be missing.
    assert reader.whole[3:] == [False, lost < 4, True]


@both
def test_the_rest_of_a_fragmented_nal_unit_whose_begin_is_lost_damages_no_parameter_sets(
    codec: Codec,
) -> None:
    sets, key = nal(codec, "sets"), nal(codec, "key", 300)
    reader = proven(codec)
    reader.feed(lose(picture(3 * TICKS, sets, *fragments(codec, key, 100)), 1))
    reader.feed(picture(4 * TICKS, *fragments(codec, key, 100)))
    assert (reader.units[-1].data, reader.units[-1].whole) == (annex_b(sets, key), True)


@both
def test_a_picture_behind_one_that_is_missing_is_never_one_that_no_other_needs(codec: Codec) -> None:
    """Or its loss alone would be put up with, and pictures that need the missing one decoded without it."""
    pictures = [picture(TICKS * n, nal(codec, "unneeded")) for n in range(3, 6)]
    reader = proven(codec).feed(lose(pictures[0], 0), *pictures[1:])
    assert [(unit.whole, unit.disposable) for unit in reader.units[3:]] == [(False, False), (True, True)]


@both
def test_a_damaged_picture_that_no_other_needs_stays_one(codec: Codec) -> None:
    pieces = fragments(codec, nal(codec, "unneeded", 300), 100)
    reader = proven(codec).feed(lose(picture(3 * TICKS, *pieces), 1))
    assert [(unit.whole, unit.disposable) for unit in reader.units[3:]] == [(False, True)]


def test_a_recovery_point_is_forgotten_when_its_picture_is_lost() -> None:
    recovery = b"\x06\x06\x01\xc4\x80"
    packets = picture(3 * TICKS, recovery, nal("h264", "slice"))
    reader = proven("h264").feed(lose(packets, 1), picture(4 * TICKS, nal("h264", "slice")))
    assert [(unit.key, unit.whole) for unit in reader.units[3:]] == [(False, False)]


def test_time_stamps_wrap_and_step_back() -> None:
    top = (1 << 32) - TICKS
    stamps = [top, top + 3 * TICKS, top + TICKS, top + 2 * TICKS, top + 4 * TICKS]
    reader = Reader("h264").feed(*(picture(s & 0xFFFFFFFF, nal("h264", "key")) for s in stamps))
    assert [unit.pts for unit in reader.units] == [0, 3 * TICKS, TICKS, 2 * TICKS, 4 * TICKS]
    assert [unit.stamp for unit in reader.units] == [s & 0xFFFFFFFF for s in stamps]


@pytest.mark.parametrize(
    ("codec", "first_byte", "key", "disposable"),
    [
        ("h264", 0x65, True, False),  # IDR
        ("h264", 0x41, False, False),
        ("h264", 0x01, False, True),  # nal_ref_idc is 0
        ("hevc", 0x00, False, True),  # TRAIL_N
        ("hevc", 0x02, False, False),  # TRAIL_R
        ("hevc", 0x10, False, True),  # RASL_N
        ("hevc", 0x12, False, False),  # RASL_R
        *(("hevc", kind << 1, True, False) for kind in range(16, 22)),  # BLA, IDR, CRA
    ],
)
def test_units_tell_what_can_be_decoded_alone_and_what_left_out(
    codec: Codec,
    first_byte: int,
    key: bool,  # noqa: FBT001
    disposable: bool,  # noqa: FBT001
) -> None:
    reader = Reader(codec).feed(picture(0, bytes([first_byte]) + b"\x01\xaa\xaa"))
    if codec == "h264":
        reader = Reader(codec).feed(picture(0, bytes([first_byte]) + b"\xaa\xaa"))
    reader.rtp.flush()
    assert [(unit.key, unit.disposable) for unit in reader.units] == [(key, disposable)]


@pytest.mark.parametrize("together", [True, False])
def test_a_recovery_point_makes_a_key_frame_of_its_own_picture_alone(together: bool) -> None:  # noqa: FBT001
    nals = [b"\x06\x06\x01\xc4\x80", nal("h264", "slice")]
    key = picture(0, *([aggregate("h264", nals)] if together else nals))
    reader = Reader("h264").feed(key, *film("h264", 3)[1:])
    assert [unit.key for unit in reader.units] == [True, False, False]


@both
@pytest.mark.parametrize(
    "rubbish", [b"", b"\x00", b"\x7c", b"\x7c\x85", b"\x78\xff\xff\x65", b"\x7f" * 9, b"\x7c\x01"]
)
def test_units_go_on_behind_truncated_payloads(codec: Codec, rubbish: bytes) -> None:
    reader = proven(codec).feed(
        Packet(rubbish, 3 * TICKS), picture(3 * TICKS, nal(codec, "key")), *film(codec, 6)[4:]
    )
    assert reader.units[3].key
    assert reader.units[3].data.endswith(annex_b(nal(codec, "key")))
    assert reader.whole[4:] == [True, True]


@both
@given(
    st.lists(st.tuples(st.binary(max_size=40), st.integers(0, 3), st.booleans(), st.booleans()), max_size=60)
)
def test_units_survive_any_payloads(codec: Codec, packets: list[tuple[bytes, int, bool, bool]]) -> None:
    reader = Reader(codec).feed([Packet(*each) for each in packets])
    reader.feed(picture(9, nal(codec, "sets"), nal(codec, "key")), picture(10, nal(codec, "slice")))
    reader.rtp.flush()
    assert any(unit.key and unit.whole and unit.stamp == 9 for unit in reader.units)


@both
@pytest.mark.parametrize("size", [1, 60_000])
def test_a_unit_that_never_ends_is_bounded_in_memory_and_flagged(codec: Codec, size: int) -> None:
    first, *_ = fragments(codec, nal(codec, "key", 2 * size), size)
    middle = first[: -size - 1] + bytes([first[-size - 1] & 0x3F]) + first[-size:]
    reader = Reader(codec)
    tracemalloc.start()
    reader.feed(Packet(first, 0))
    for _ in range(70_000 if size == 1 else 600):
        reader.rtp.feed(bytes(bytearray(middle)), 0, 0.0, marked=False)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 20 << 20
    # An endless one gives way to the next picture, which builds on it.
    reader.feed(*film(codec, 3)[1:])
    assert reader.whole == [False]


def test_a_picture_of_a_lower_layer_is_needed_when_there_are_higher_ones() -> None:
    """TRAIL_N says that no picture of its own sub-layer needs it; those of the next one may (H.265 7.4.2.2)."""
    units: list[RtpUnit] = []
    rtp = RtpUnits("hevc", units.append)
    trail_n, trail_r = 0x00, 0x02
    for number, (kind, layer) in enumerate([(trail_r, 0), (trail_n, 1), (trail_n, 0), (trail_n, 1)]):
        rtp.feed(bytes((kind, layer + 1, 0x80, 0x00)), number * 3000, 0.0, marked=True)
    rtp.flush()
    assert [unit.disposable for unit in units] == [False, True, False, True]


def key_frames(codec: Codec, *heads: list[bytes]) -> list[list[Packet]]:
    """A key frame behind each of these, each in a packet of its own; packets are numbered one after another."""
    return [picture(TICKS * n, *head, *slices(codec, "key", 2)) for n, head in enumerate(heads)]


SETS: dict[Codec, list[bytes]] = {
    "h264": [b"\x67\x42\xc0\x1e\xd9", b"\x68\xce\x3c\x80"],
    "hevc": [b"\x40\x01\x0c\x01", b"\x42\x01\x01\x01", b"\x44\x01\xc0\xf7"],
}


@both
@pytest.mark.parametrize("number", [0, 1])
def test_a_key_frame_that_lacks_its_parameter_sets_alone_is_not_whole(codec: Codec, number: int) -> None:
    """The decoder would take those of before, which may be of another size."""
    sets = SETS[codec]
    *before, damaged, after = key_frames(codec, sets, sets, sets, sets)
    reader = Reader(codec).feed(*before, lose(damaged, number), after)
    assert reader.whole == [True, True, False, True]


@both
@pytest.mark.parametrize(
    ("heads", "lost"),
    [
        ("..", 0),  # the end of the picture before, where no key frame has ever had any
        ("s.", 0),  # not all key frames have them
        ("ss", 0),  # something else is missing, and they are all there
    ],
)
def test_a_key_frame_is_whole_when_its_parameter_sets_are_not_what_is_missing(
    codec: Codec, heads: str, lost: int
) -> None:
    sets = {"s": SETS[codec], ".": []}
    before = key_frames(codec, *(sets[each] for each in heads))
    last = picture(9 * TICKS, nal(codec, "sei"), *sets[heads[-1]], *slices(codec, "key", 2))
    reader = Reader(codec).feed(*before, lose(last, lost))
    reader.rtp.flush()
    assert reader.whole == [True] * (len(heads) + 1)


@both
def test_units_share_the_parameter_sets_in_force_until_one_changes(codec: Codec) -> None:
    sets = SETS[codec]
    other = [*sets[:-1], sets[-1] + b"\x80"]
    declared = annex_b(*sets)
    units: list[RtpUnit] = []
    rtp = RtpUnits(codec, units.append, extradata=declared)
    heads = [sets, [], sets, other, []]
    for packet in [packet for each in key_frames(codec, *heads) for packet in each]:
        rtp.feed(bytes(bytearray(packet.payload)), packet.stamp, 0.0, marked=packet.marked)
    rtp.flush()
    assert [unit.extradata for unit in units] == [declared] * 3 + [annex_b(*other)] * 2
    assert units[0].extradata is units[2].extradata is declared
    assert units[3].extradata is units[4].extradata


@both
def test_parameter_sets_that_come_in_band_alone_are_in_force_from_their_own_picture_on(codec: Codec) -> None:
    reader = Reader(codec).feed(*key_frames(codec, [], SETS[codec], []))
    reader.rtp.flush()
    assert [unit.extradata for unit in reader.units] == [b"", *[annex_b(*SETS[codec])] * 2]
