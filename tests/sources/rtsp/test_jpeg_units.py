"""JPEG pictures from RTP payloads: what they hold, when they are handed on, and what is said of damaged ones."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sources.rtsp.jpeg_payloads import (
    TICKS,
    Jpeg,
    JpegPacket,
    JpegReader,
    Sender,
    decoded,
    draw,
    header_extension,
    take_apart,
)

SOF, DHT, SOS, DQT, DRI = 0xC0, 0xC4, 0xDA, 0xDB, 0xDD
REPLAY = b"\xab\xac\x00\x03" + b"t" * 12
"""ONVIF's extension with the time of a recording."""


def pictures(count: int, **options: int) -> list[Jpeg]:
    return [draw(number, **options) for number in range(count)]  # type: ignore[arg-type]


def film(count: int, sender: Sender | None = None, **options: int) -> list[list[JpegPacket]]:
    sender = sender or Sender(kind=options.get("kind", 1))
    return [sender.packets(each, number) for number, each in enumerate(pictures(count, **options))]


def lose(packets: list[JpegPacket], *numbers: int) -> list[JpegPacket]:
    return [replace(packet, lost=number in numbers) for number, packet in enumerate(packets)]


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("restart", [0, 4])
@pytest.mark.parametrize("quality", [1, 10, 49, 50, 75, 99])
def test_pictures_are_the_cameras_own_when_tables_are_scaled(kind: int, restart: int, quality: int) -> None:
    sent = pictures(3, kind=kind, restart=restart, quality=quality)
    reader = JpegReader()
    for number, picture in enumerate(sent):
        reader.feed(Sender(quality, kind).packets(picture, number))
    assert reader.pixels == [decoded(picture.file) for picture in sent]
    assert [(unit.key, unit.disposable, unit.pts) for unit in reader.units] == [
        (True, True, TICKS * number) for number in range(3)
    ]


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize(
    "sender", [Sender(255), Sender(128), Sender(200, tables=[0]), Sender(254, tables=[0, 2])]
)
def test_pictures_are_the_cameras_own_when_tables_come_along_or_have_come_before(
    kind: int, sender: Sender
) -> None:
    sent = pictures(4, kind=kind, quality=63)
    reader = JpegReader()
    for number, picture in enumerate(sent):
        reader.feed(replace(sender, kind=kind).packets(picture, number))
    assert reader.pixels == [decoded(picture.file) for picture in sent]


def test_pictures_are_files_that_other_decoders_read() -> None:
    """Browsers, too, which know no Huffman tables by heart."""
    (picture,) = pictures(1)
    (unit,) = JpegReader().feed(Sender().packets(picture)).units
    assert {marker for marker, _ in take_apart(unit.data).segments} == {0xE0, DQT, SOF, DHT, SOS}
    pixels = cv2.imdecode(np.frombuffer(unit.data, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    assert pixels.shape == (96, 160, 3)


def test_tables_of_16_bits_are_read() -> None:
    (picture,) = pictures(1)
    wide = b"".join(byte.to_bytes(2, "big") for byte in picture.tables[:64]) + picture.tables[64:]
    first, *others = Sender().packets(picture)
    scan = first.payload[8 + 4 + 128 :]
    head = first.payload[:8] + b"\x00\x01" + len(wide).to_bytes(2, "big") + wide
    reader = JpegReader().feed(replace(first, payload=head + scan), others)
    assert reader.pixels == [decoded(picture.file)]


def test_pictures_come_with_their_own_last_packet_from_the_first_on() -> None:
    sent = film(4)
    reader = JpegReader().feed(*sent)
    ends = [sum(map(len, sent[: number + 1])) - 1 for number in range(4)]
    assert len(sent[0]) > 2
    assert (reader.came_with, reader.rtp.proven) == (ends, True)
    assert [unit.read_s for unit in reader.units] == [0.0, *(end + 1.0 for end in ends[:-1])]


def test_pictures_come_a_picture_late_when_marks_may_not_end_them() -> None:
    sent = film(3)
    reader = JpegReader(early=False).feed(*sent)
    assert reader.came_with == [len(sent[0]), len(sent[0]) + len(sent[1])]
    reader.rtp.flush()
    assert reader.whole == [True] * 3


def test_pictures_of_one_packet_come_with_it_once_the_second_has_shown_that_it_was_all() -> None:
    reader = JpegReader().feed(*film(4, Sender(piece=1 << 16)))
    assert (reader.came_with, reader.whole) == ([1, 1, 2, 3], [True] * 4)
    ended = Sender(piece=1 << 16).packets(draw(0))[0]
    assert JpegReader().feed(replace(ended, payload=ended.payload + b"\xff\xd9")).whole == [True]


@pytest.mark.parametrize("marked", [True, False])
def test_pictures_end_where_the_next_begins_when_marks_tell_nothing(marked: bool) -> None:  # noqa: FBT001
    sent = [[replace(packet, marked=marked) for packet in each] for each in film(4)]
    reader = JpegReader().feed(*sent)
    assert reader.came_with == [sum(map(len, sent[: number + 1])) for number in range(3)]
    reader.rtp.flush()
    # Of one that nothing has ended, nobody knows whether it is all there.
    assert reader.whole == [True, True, True, marked]
    assert not reader.rtp.proven
    assert reader.pixels[:3] == [decoded(picture.file) for picture in pictures(3)]


def test_a_mark_that_turns_out_wrong_is_never_trusted_again() -> None:
    small, large = film(5, Sender(piece=1 << 16))[:2], film(5)[2:]
    reader = JpegReader().feed(*small, *([replace(each, marked=True) for each in one] for one in large))
    reader.rtp.flush()
    # Nobody can tell of the third picture's first packet that it isn't all; the rest of it is flagged.
    assert reader.whole == [True, True, True, False, True, True]
    assert reader.pixels[-2:] == [decoded(picture.file) for picture in pictures(5)[3:]]


def test_pictures_with_one_time_stamp_are_kept_apart() -> None:
    frozen = [[replace(packet, stamp=7) for packet in each] for each in film(3)]
    unmarked = [[replace(packet, marked=False) for packet in each] for each in frozen]
    expected = [decoded(picture.file) for picture in pictures(3)]
    assert JpegReader().feed(*frozen).pixels == expected
    assert JpegReader().feed(*unmarked).pixels == expected[:2]


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_picture_that_lacks_a_packet_is_flagged_and_no_other(place: str, early: bool) -> None:  # noqa: FBT001
    sent = film(4)
    number = {"first": 0, "middle": 1, "last": len(sent[1]) - 1}[place]
    reader = JpegReader(early=early).feed(sent[0], lose(sent[1], number), *sent[2:])
    reader.rtp.flush()
    if early or place != "first":
        assert reader.whole == [True, False, True, True]
    else:
        # Without marks the end of the picture before may be among what is missing.
        assert reader.whole == [False, False, True, True]


def test_a_picture_that_lacks_its_first_or_last_packets_and_the_next_ones_too_is_flagged() -> None:
    sent = film(4)
    last, first = len(sent[1]) - 1, 0
    reader = JpegReader().feed(sent[0], lose(sent[1], last), lose(sent[2], first), sent[3])
    assert reader.whole == [True, False, False, True]


def test_pictures_that_are_missing_altogether_damage_no_others() -> None:
    sent = film(4)
    reader = JpegReader().feed(sent[0], lose(sent[1], *range(len(sent[1]))), *sent[2:])
    assert reader.whole == [True, True, True]


def test_a_packet_that_lies_elsewhere_than_the_sequence_says_damages_its_picture() -> None:
    """A hole that no sequence number tells of, as behind relays that number packets anew."""
    sent = film(3)
    reader = JpegReader().feed(sent[0], [sent[1][0], *sent[1][2:]], sent[2])
    assert reader.whole == [True, False, True]


def test_a_camera_that_is_joined_in_the_middle_of_a_picture_has_lost_nothing() -> None:
    sent = film(3)
    assert JpegReader().feed(sent[0][1:], *sent[1:]).whole == [True, True]


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (4, 2),  # a type that nobody has defined
        (4, 0x81),
        (5, 0),  # Q
        (5, 100),
        (5, 127),
        (6, 0),  # no width
        (10, 0xFF),  # tables that are longer than the packet
    ],
)
def test_a_picture_that_makes_no_sense_is_flagged_and_the_next_is_fine(at: int, value: int) -> None:
    sent = film(3)
    first, *others = sent[1]
    payload = first.payload[:at] + bytes([value]) + first.payload[at + 1 :]
    reader = JpegReader().feed(sent[0], [replace(first, payload=payload), *others], sent[2])
    assert reader.whole == [True, False, True]


@pytest.mark.parametrize("quality", [200, 255])
def test_a_picture_whose_tables_have_never_come_is_flagged(quality: int) -> None:
    sent = film(2, Sender(quality, tables=[1]))
    assert JpegReader().feed(*sent).whole == [False, True]


LARGE = (2048, 1088)


@pytest.mark.parametrize(
    ("blocks", "declared"),
    [
        ((0, 0), LARGE),  # as GStreamer sends it
        ((0, 136), LARGE),  # the lowest 8 bits
        ((0, 136), (2048, 1088)),
    ],
)
def test_large_pictures_have_the_size_that_the_description_tells(
    blocks: tuple[int, int], declared: tuple[int, int]
) -> None:
    picture = draw(0, LARGE)
    reader = JpegReader(size_wh=declared).feed(Sender(blocks=blocks, piece=8000).packets(picture))
    assert reader.pixels == [decoded(picture.file)]
    assert JpegReader().feed(Sender(blocks=blocks, piece=8000).packets(picture)).whole == [False]


def test_the_description_does_not_contradict_what_a_small_picture_says() -> None:
    """A camera may have been set to another size since."""
    picture = draw(0, (160, 96))
    for declared in ((320, 240), (161, 97), (2048 + 168, 2048 + 104)):
        assert JpegReader(size_wh=declared).feed(Sender().packets(picture)).pixels == [decoded(picture.file)]


@pytest.mark.parametrize("before", [b"", REPLAY])
def test_large_pictures_have_the_size_that_their_extension_tells(before: bytes) -> None:
    first, second = draw(0, LARGE), draw(1, LARGE)
    sender = Sender(blocks=(0, 0), piece=8000)
    size = header_extension((SOF, first.bodies(SOF)[0]))
    reader = JpegReader().feed(sender.packets(first, 0, before + size))
    # Without a size of its own, that of the picture before.
    reader.feed(sender.packets(second, 1, before + header_extension()))
    assert reader.pixels == [decoded(first.file), decoded(second.file)]


@pytest.mark.parametrize("apart", [True, False])
def test_an_extension_brings_tables_and_the_next_picture_keeps_them(apart: bool) -> None:  # noqa: FBT001
    """Huffman tables, quantization tables (with Q 0), and how often there is a restart marker."""
    first, plain = draw(0, quality=40, optimized=True, restart=4), draw(1, quality=60)
    parts = [(marker, body) for marker, body in first.segments if marker in (DQT, DHT, DRI, SOS)]
    # RTP's own header says nothing of restart markers.
    picture = replace(first, segments=tuple(each for each in first.segments if each[0] != DRI))
    packets = Sender(0).packets(picture)
    if apart:
        # Two packets that hold no scan data, of which the second has no JPEG header either.
        head = replace(packets[0], payload=packets[0].payload[:8], extension=header_extension(*parts[:2]))
        rest = JpegPacket(b"", 0, extension=header_extension(*parts[2:], identifier=b"\xff\xff"))
        packets = [head, rest, *packets]
    else:
        packets[0] = replace(packets[0], extension=header_extension(*parts))
    reader = JpegReader().feed(packets)
    reader.feed(Sender(0).packets(picture, 1, header_extension((DRI, first.bodies(DRI)[0]))))
    assert reader.pixels == [decoded(first.file)] * 2
    # A picture without an extension is plain RFC 2435 again.
    assert reader.feed(Sender(60).packets(plain, 2)).pixels[2:] == [decoded(plain.file)]


@pytest.mark.parametrize(
    "extension",
    [
        b"\xff",
        b"\xff\xd8",
        b"\xff\xd8\xff\xff",
        header_extension((SOF, b""))[:-2],
        b"\xff\xd8\x00\x01\xff\xc0\xff\xff",
        b"\xff\xd8\x00\x01\x00\x00\x00\x00",
        header_extension((DQT, b"\x00" * 9)),
        header_extension((DHT, b"\xff" * 30)),
        b"\xbe\xde\x00\x01\x10\xaa\x00\x00",
        b"",
    ],
)
def test_other_and_damaged_extensions_cost_one_picture_at_most(extension: bytes) -> None:
    sent, sender = film(3), Sender()
    reader = JpegReader().feed(sent[0], sender.packets(pictures(2)[1], 1, extension), sent[2])
    assert (reader.whole[0], reader.whole[2]) == (True, True)
    if extension[:2] != b"\xff\xd8":
        assert reader.whole[1]


def test_time_stamps_wrap() -> None:
    start = (1 << 32) - TICKS
    sent = [[replace(p, stamp=(p.stamp + start) & 0xFFFFFFFF) for p in each] for each in film(3)]
    reader = JpegReader().feed(*sent)
    assert [unit.pts for unit in reader.units] == [0, TICKS, 2 * TICKS]
    assert [unit.stamp for unit in reader.units] == [start, 0, TICKS]


@pytest.mark.parametrize("size", [1, 60_000])
def test_a_picture_that_never_ends_is_bounded_in_memory_and_flagged(size: int) -> None:
    first = Sender().packets(draw(0))[0]
    reader = JpegReader()
    reader.feed(first)
    start = len(first.payload) - 8 - 4 - 128
    tracemalloc.start()
    for number in range(70_000 if size == 1 else 600):
        offset = (start + number * size) & 0xFFFFFF
        payload = b"\x00" + offset.to_bytes(3, "big") + first.payload[4:8] + b"x" * size
        reader.rtp.feed(payload, 0, 0.0, marked=False)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 20 << 20
    reader.feed(*film(2)[1:])
    assert reader.whole == [False, True]


def test_nothing_is_handed_on_any_more_once_nobody_listens() -> None:
    reader = JpegReader()
    reader.rtp.detach()
    assert reader.feed(*film(2)).units == []


PACKETS = st.tuples(
    st.binary(max_size=40) | st.binary(max_size=6).map(lambda end: b"\x00\x00\x00\x00\x01\xff" + end),
    st.integers(0, 3),
    st.booleans(),
    st.binary(max_size=20) | st.binary(max_size=20).map(lambda end: b"\xff\xd8\x00\x04" + end),
    st.booleans(),
)


@given(st.lists(PACKETS, max_size=60))
@settings(deadline=None)
def test_units_survive_any_payloads(packets: list[tuple[bytes, int, bool, bytes, bool]]) -> None:
    reader = JpegReader().feed([JpegPacket(*each) for each in packets])
    good = film(2)
    reader.feed([replace(each, stamp=9) for each in good[0]], [replace(each, stamp=10) for each in good[1]])
    reader.rtp.flush()
    expected = [decoded(picture.file) for picture in pictures(2)]
    assert [decoded(unit.data) for unit in reader.units if unit.whole and unit.stamp in (9, 10)] == expected
