"""What is learned from pieces and slices, before a picture's last piece is recognized."""

from __future__ import annotations

import pytest

from framelane.sources.ffmpeg.packet_boundaries import PacketBoundaries

EXTRA, PIECE = 5, 1000


def pieces(boundaries: PacketBoundaries, *sizes: int) -> list[int]:
    """The sizes that it tells of the pieces of one NAL unit."""
    first, *others = sizes
    told = [boundaries.piece_size(bytes(first + EXTRA), starts=True)]
    return told + [boundaries.piece_size(bytes(size), starts=False) for size in others]


def learned(pictures: int = 6, *, slices: int = 1, largest: int = 5000, keys: int = 1) -> PacketBoundaries:
    """After so many pictures of pieces that end with a short one."""
    boundaries = PacketBoundaries(EXTRA)
    for number in range(pictures):
        pieces(boundaries, PIECE, PIECE, 300)
        boundaries.learn(slices, largest, key=number < keys)
    # The next NAL unit shows that the last piece was short.
    pieces(boundaries, PIECE)
    return boundaries


def test_piece_size_leaves_out_what_ffmpeg_puts_before_the_first() -> None:
    assert pieces(PacketBoundaries(EXTRA), 700, 700, 20) == [700, 700, 20]


@pytest.mark.parametrize(
    ("pictures", "keys", "expected"), [(5, 1, False), (6, 0, False), (6, 1, True), (30, 3, True)]
)
def test_known_takes_six_pictures_and_a_key_picture(pictures: int, keys: int, *, expected: bool) -> None:
    assert expected is learned(pictures, keys=keys).known


def test_known_needs_no_short_piece_when_nothing_comes_in_pieces() -> None:
    boundaries = PacketBoundaries(EXTRA)
    for _ in range(6):
        pieces(boundaries, 800)
        boundaries.learn(1, 800, key=True)
    assert boundaries.known
    assert boundaries.complete(1, 800, 800, key=False)


@pytest.mark.parametrize(("last", "expected"), [(899, True), (900, False), (1000, False)])
def test_known_takes_a_last_piece_that_is_clearly_shorter(last: int, *, expected: bool) -> None:
    boundaries = PacketBoundaries(EXTRA)
    for _ in range(6):
        pieces(boundaries, PIECE, PIECE, last)
        boundaries.learn(1, 5000, key=True)
    pieces(boundaries, PIECE)
    assert expected is boundaries.known


def test_learning_begins_again_when_a_piece_has_another_size() -> None:
    boundaries = learned()
    pieces(boundaries, PIECE, PIECE, 700, 700)
    assert not boundaries.known
    for _ in range(6):
        pieces(boundaries, 1200, 1200, 100)
        boundaries.learn(1, 5000, key=True)
    pieces(boundaries, 1200)
    assert boundaries.known


@pytest.mark.parametrize(
    ("slices", "size", "slice_bytes", "key", "expected"),
    [
        pytest.param(1, 300, 4000, False, True, id="short"),
        pytest.param(1, 999, 5000, False, True, id="just short, of the largest slice"),
        pytest.param(1, 1000, 4000, False, False, id="of full size"),
        pytest.param(1, 300, 5001, False, False, id="of a slice larger than all before"),
        pytest.param(2, 300, 4000, False, False, id="of one slice more"),
        pytest.param(1, 300, 4000, True, False, id="of the second key picture"),
    ],
)
def test_complete_tells_a_pictures_last_piece(
    *, slices: int, size: int, slice_bytes: int, key: bool, expected: bool
) -> None:
    assert expected is learned().complete(slices, size, slice_bytes, key=key)


def test_complete_takes_key_pictures_when_two_have_come() -> None:
    assert learned(keys=2).complete(1, 300, 4000, key=True)


@pytest.mark.parametrize(("slices", "expected"), [(3, False), (4, True), (5, False)])
def test_complete_waits_for_the_last_slice(slices: int, *, expected: bool) -> None:
    assert expected is learned(slices=4).complete(slices, 300, 4000, key=False)


def test_one_picture_of_other_slices_does_not_change_their_number() -> None:
    boundaries = learned(slices=4)
    boundaries.learn(3, 5000, key=False)
    assert not boundaries.known
    for _ in range(6):
        boundaries.learn(4, 5000, key=False)
    assert boundaries.complete(4, 300, 4000, key=False)


def test_two_pictures_of_other_slices_begin_the_learning_again() -> None:
    boundaries = learned(slices=4)
    for _ in range(2):
        boundaries.learn(2, 900, key=False)
    # The second of them was the first that counts.
    for _ in range(5):
        boundaries.learn(2, 900, key=True)
    assert not boundaries.complete(4, 300, 800, key=False)
    assert not boundaries.complete(2, 300, 901, key=False)
    assert boundaries.complete(2, 300, 900, key=False)


def test_odd_pictures_that_do_not_follow_each_other_change_nothing() -> None:
    boundaries = learned(slices=4)
    for slices in (3, 4, 3, 4, 4, 4, 4, 4, 4):
        boundaries.learn(slices, 5000, key=False)
    assert boundaries.complete(4, 300, 4000, key=False)


def test_odd_pictures_that_differ_from_each_other_change_nothing() -> None:
    boundaries = learned(slices=4)
    for slices in (3, 5, 3, 5):
        boundaries.learn(slices, 5000, key=False)
    for _ in range(6):
        boundaries.learn(4, 5000, key=False)
    assert boundaries.complete(4, 300, 4000, key=False)


def test_nothing_is_complete_once_it_was_refuted() -> None:
    boundaries = learned(keys=2)
    boundaries.refute()
    for _ in range(20):
        boundaries.learn(1, 5000, key=True)
    assert not boundaries.known
    assert not boundaries.complete(1, 300, 4000, key=False)
