"""When a camera's marker bits are trusted to end pictures, and when no more."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from framelane.sources.rtsp.marker_trust import MarkerTrust


@dataclass(frozen=True)
class Picture:
    """A picture that ended because another began."""

    packets: int = 5
    right: bool = True
    key: bool = False


def after(*pictures: Picture, early: bool = True) -> MarkerTrust:
    trust = MarkerTrust(early=early)
    for each in pictures:
        trust.learn(each.packets, right=each.right, key=each.key)
    return trust


@pytest.mark.parametrize(
    ("pictures", "proven", "refuted"),
    [
        ([], False, False),
        ([Picture()], True, False),
        ([Picture(packets=1)] * 10, False, False),
        ([Picture(packets=1, key=True)], False, False),
        ([Picture(packets=1, key=True)] * 2, True, False),
        ([Picture(), Picture(right=False)], False, True),
        ([Picture(), Picture(right=False), Picture()], True, False),
        ([Picture(packets=1, key=True), Picture(right=False), Picture(packets=1, key=True)], False, True),
        ([Picture(right=False), Picture(packets=1)], False, True),
    ],
    ids=[
        "nothing yet",
        "of several packets",
        "one packet each",
        "one small key frame",
        "two small key frames",
        "then a wrong one",
        "and right again",
        "small key frames are counted again",
        "one packet says little",
    ],
)
def test_marker_bits_are_proven_by_pictures_that_say_something(
    pictures: list[Picture], *, proven: bool, refuted: bool
) -> None:
    trust = after(*pictures)
    assert (trust.proven, trust.refuted) == (proven, refuted)


def test_marker_bit_that_ended_half_a_picture_is_never_trusted_again() -> None:
    trust = after(Picture())
    trust.refute()
    assert (trust.proven, trust.refuted) == (False, True)
    trust.learn(5, right=True, key=True)
    assert (trust.proven, trust.refuted) == (False, False)


def test_marker_bits_are_not_used_where_the_stream_does_without() -> None:
    trust = after(Picture(), early=False)
    assert (trust.proven, trust.refuted) == (False, False)
