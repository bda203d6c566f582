from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.sinks.examples import FakeClock

from framelane.live.records import Kind, Record
from framelane.live.viewer import MOST_CHANNELS, CommandError, Viewer

from .viewers import records

if TYPE_CHECKING:
    from framelane.live.feed import Sink, Want


class Feeds:
    """What is watched now."""

    def __init__(self) -> None:
        self.sinks: dict[tuple[str, str], Sink] = {}

    def watch(self, stream: str, want: Want, sink: Sink) -> None:
        self.sinks[stream, want] = sink

    def unwatch(self, stream: str, want: Want, sink: Sink) -> None:
        assert self.sinks.pop((stream, want)) is sink


class Rig:
    def __init__(self) -> None:
        self.feeds, self.clock, self.rings = Feeds(), FakeClock(), 0
        self.viewer = Viewer(self.feeds, self.clock, self.ring)

    def ring(self) -> None:
        self.rings += 1

    def watch(self, channel: int = 1, stream: str = "cam", want: str = "video") -> Sink:
        self.viewer.command(f'{{"op":"watch","channel":{channel},"stream":"{stream}","want":"{want}"}}')
        return self.feeds.sinks[stream, want]

    def taken(self) -> list[tuple[int, Kind, float]]:
        found = records(self.viewer.take())
        return [(channel, record.kind, record.media_s) for channel, record in found]


def video(number: int, *, key: bool = False, size: int = 100) -> Record:
    return Record(Kind.VIDEO, float(number), 0.0, bytes(size), key)


def test_records_come_in_turns_with_their_channel() -> None:
    rig = Rig()
    one, two = rig.watch(1), rig.watch(7, "other")
    for number in range(2):
        one.put(video(number, key=not number))
        two.put(video(10 + number, key=not number))
    assert rig.taken() == [
        (1, Kind.VIDEO, 0.0),
        (7, Kind.VIDEO, 10.0),
        (1, Kind.VIDEO, 1.0),
        (7, Kind.VIDEO, 11.0),
    ]
    assert (rig.viewer.take(), rig.rings) == (b"", 4)


def test_video_begins_at_a_key_frame() -> None:
    rig = Rig()
    sink = rig.watch()
    for number in range(4):
        sink.put(video(number, key=number == 2))
    assert [at for _, _, at in rig.taken()] == [2.0, 3.0]


def test_leading_pictures_of_the_first_key_frame_are_left_out() -> None:
    """An open GOP: 5 is the key frame, 3 and 4 come after it, are shown before it, and need what nobody has."""
    rig = Rig()
    sink = rig.watch()
    for number in (5, 3, 4, 8, 6, 7, 11, 9, 10):
        sink.put(video(number, key=number in (5, 8)))
    assert [at for _, _, at in rig.taken()] == [5.0, 8.0, 6.0, 7.0, 11.0, 9.0, 10.0]
    # A worker process that starts again begins another time line.
    for number in (2, 3):
        sink.put(video(number, key=number == 2))
    assert [at for _, _, at in rig.taken()] == [2.0, 3.0]


def test_a_viewer_that_does_not_read_skips_to_the_next_key_frame() -> None:
    rig = Rig()
    sink = rig.watch()
    for number in range(100):
        rig.clock.advance(0.1)
        sink.put(video(number, key=number % 25 == 0))
    shown = [at for _, _, at in rig.taken()]
    # What followed the last key frame had waited for more than a second.
    assert shown == []
    sink.put(video(100, key=True))
    assert [at for _, _, at in rig.taken()] == [100.0]


def test_a_channel_holds_a_bounded_number_of_bytes() -> None:
    rig = Rig()
    sink = rig.watch()
    for number in range(100):
        sink.put(video(number, key=True, size=1 << 20))
    assert len(rig.viewer.take()) <= 5 << 20


def test_only_the_newest_still_waits() -> None:
    rig = Rig()
    sink = rig.watch(want="tile")
    for number in range(3):
        sink.put(Record(Kind.STILL, float(number), 0.0, b"x"))
    assert rig.taken() == [(1, Kind.STILL, 2.0)]


def test_newest_state_of_a_sub_stream_comes_first_and_is_not_skipped() -> None:
    rig = Rig()
    channel = rig.watch()
    for number in range(100):
        channel.put(Record(Kind.PREVIEW, float(number), 0.0, b"{}"))
        channel.put(video(number, key=not number, size=100_000))
    assert rig.taken()[:1] == [(1, Kind.PREVIEW, 99.0)]
    assert Kind.PREVIEW not in {kind for _, kind, _ in rig.taken()}


def test_boxes_that_nobody_takes_are_bounded() -> None:
    rig = Rig()
    sink = rig.watch()
    sink.put(video(0, key=True))
    for number in range(10_000):
        sink.put(Record(Kind.BOXES, float(number), 0.0, b"{}"))
    assert len(rig.taken()) <= 66


def test_a_channel_that_is_used_again_shows_the_new_stream_only() -> None:
    rig = Rig()
    rig.watch(1, "first").put(video(0, key=True))
    rig.watch(1, "second")
    assert (list(rig.feeds.sinks), rig.taken()) == ([("second", "video")], [])


def test_unwatch_and_close_end_channels() -> None:
    rig = Rig()
    rig.watch(1, "first")
    rig.watch(2, "second")
    rig.viewer.command('{"op":"unwatch","channel":1}')
    assert list(rig.feeds.sinks) == [("second", "video")]
    rig.viewer.close()
    rig.viewer.close()
    assert not rig.feeds.sinks


@pytest.mark.parametrize(
    "command",
    [
        "",
        "[]",
        "{}",
        '{"op":"watch"}',
        '{"op":"burn","channel":1}',
        '{"op":"watch","channel":-1,"stream":"cam","want":"video"}',
        '{"op":"watch","channel":65536,"stream":"cam","want":"video"}',
        '{"op":"watch","channel":1,"stream":"cam","want":"everything"}',
        '{"op":"watch","channel":1,"stream":"","want":"video"}',
        '{"op":"watch","channel":1,"stream":"cam","want":"video","more":1}',
        '{"op":"watch","channel":1,"stream":["cam"],"want":"video"}',
    ],
)
def test_what_is_no_command_is_refused(command: str) -> None:
    rig = Rig()
    with pytest.raises(CommandError, match="no command"):
        rig.viewer.command(command)
    assert not rig.feeds.sinks


def test_channels_are_limited() -> None:
    rig = Rig()
    for channel in range(MOST_CHANNELS):
        rig.watch(channel, f"cam{channel}")
    with pytest.raises(CommandError, match="channels"):
        rig.watch(MOST_CHANNELS, "one-more")
