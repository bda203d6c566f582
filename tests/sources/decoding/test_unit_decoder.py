"""Access units in, frames with their own times out; and what is said of units that can't be decoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np
import pytest
from tests.neighbours.clips import ClipShape, draw_clip
from tests.sources.ticking import UNIX_S, TickingClock

from framelane.config.sections.stream import StreamOptions
from framelane.core.errors import SourceError
from framelane.sources.decoding.decoder import ON_CPU, BareVideo, StreamDecoder
from framelane.sources.decoding.source_parts import ignore_fallback
from framelane.sources.decoding.unit_decoder import UnitDecoder
from framelane.sources.interfaces.units import Unit, packet_of
from framelane.sources.timing.arrival_clock import Arrival
from framelane.telemetry.meters import StreamMeter

if TYPE_CHECKING:
    from pathlib import Path

    from framelane.sources.interfaces.source import Decoded

TIME_BASE = Fraction(1, 1000)
JPEG = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
CUT_OFF = JPEG[: len(JPEG) // 2]


def arrival(number: int) -> Arrival:
    return Arrival(100 + number / 10, UNIX_S + number, "receive")


def jpeg(number: int, data: bytes = JPEG, **what: Any) -> Unit:
    return Unit(packet_of(data, 100 * number, TIME_BASE), True, True, arrival(number), **what)  # noqa: FBT003


@dataclass
class Rig:
    """A decoder of Motion JPEG, or of a clip, on a clock that stands still."""

    context: Any = field(default_factory=lambda: av.CodecContext.create("mjpeg", "r"))
    endless: bool = True
    timed: bool = True
    keep_damaged: bool = False
    time_base_s: float = float(TIME_BASE)

    def __post_init__(self) -> None:
        self.clock, self.meter = TickingClock(), StreamMeter("cam")
        decoder = StreamDecoder(BareVideo(self.context), ON_CPU, StreamOptions(), ignore_fallback)
        self.decoder = UnitDecoder(
            decoder,
            self.time_base_s,
            self.clock,
            self.meter,
            endless=self.endless,
            timed=self.timed,
            keep_damaged=self.keep_damaged,
        )

    def decode(self, *units: Unit) -> list[Decoded]:
        return [decoded for unit in units for decoded in self.decoder.decode(unit)]

    @property
    def dropped(self) -> dict[str, int]:
        return {why: count for why, count in self.meter.snapshot().dropped.items() if count}


@pytest.fixture(scope="module")
def reordered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_clip(tmp_path_factory.mktemp("clip"), "h264-bframes", ClipShape(64, 48, 24))


def units_of(path: Path) -> tuple[Rig, list[Unit]]:
    """The units of a file in the order in which they are sent, each with an arrival of its own."""
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        packets = [packet for packet in source.demux(stream) if packet.size]
        context: Any = av.CodecContext.create("h264", "r")
        context.extradata = stream.codec_context.extradata
        rig = Rig(context, time_base_s=float(stream.time_base or 0))
    return rig, [
        Unit(packet, packet.is_keyframe, packet.is_disposable, arrival(number))
        for number, packet in enumerate(packets)
    ]


def test_frames_come_in_the_order_in_which_they_are_shown_with_the_arrivals_of_their_units(
    reordered: Path,
) -> None:
    rig, units = units_of(reordered)
    sent = {unit.packet.pts: unit.arrival for unit in units}
    assert list(sent) != sorted(sent, key=lambda pts: pts or 0), "the clip has no B pictures"
    frames = [*rig.decode(*units), *rig.decoder.drain()]
    times = [each.pts_s for each in frames]
    assert times == pytest.approx([n / 25 for n in range(24)])
    assert [each.arrival for each in frames] == [sent[pts] for pts in sorted(sent, key=lambda pts: pts or 0)]
    assert rig.dropped == {}


def test_what_a_decoder_holds_at_a_gap_is_counted_and_never_shown(reordered: Path) -> None:
    rig, units = units_of(reordered)
    before = rig.decode(*units[:12])
    inside = 12 - len(before)
    assert inside
    key = units[0]._replace(gap="late")
    shown = rig.decode(key)
    assert rig.dropped == {"late": inside}
    assert [each.pts_s for each in [*shown, *rig.decoder.drain()]] == [0.0]


def test_unit_that_only_others_need_is_decoded_and_not_shown() -> None:
    rig = Rig()
    frames = rig.decode(jpeg(0), jpeg(1, shown=False), jpeg(2))
    assert [each.pts_s for each in frames] == [0.0, 0.2]
    assert rig.dropped == {"damaged": 1}


def test_unit_that_can_not_be_decoded_is_counted_once_one_could() -> None:
    """A connection begins between two key frames, where nothing is wrong."""
    rig = Rig()
    assert rig.decode(jpeg(0, CUT_OFF)) == []
    assert (rig.dropped, rig.decoder.damaged) == ({}, False)
    rig.decode(jpeg(1))
    assert rig.decode(jpeg(2, CUT_OFF)) == []
    assert (rig.dropped, rig.decoder.damaged) == ({"decode": 1}, True)
    rig.decode(jpeg(3))
    assert not rig.decoder.damaged


def test_stream_fails_after_three_units_in_a_row_until_one_is_decoded() -> None:
    rig = Rig()
    rig.decode(jpeg(0))
    seen = []
    for number in range(1, 5):
        rig.decode(jpeg(number, CUT_OFF))
        seen.append(rig.decoder.fails)
    rig.decode(jpeg(5))
    assert seen == [False, False, True, True]
    assert not rig.decoder.fails


def test_live_stream_of_which_nothing_can_be_decoded_ends_after_a_minute() -> None:
    rig = Rig()
    rig.decode(*(jpeg(number, CUT_OFF) for number in range(100)))
    rig.clock.pass_s(61)
    with pytest.raises(SourceError, match="nothing could be decoded for 61 s") as found:
        rig.decode(jpeg(100, CUT_OFF))
    assert found.value.reason == "undecodable"


def test_recording_ends_after_250_units_that_can_not_be_decoded() -> None:
    rig = Rig(endless=False)
    with pytest.raises(SourceError, match="251 frames in a row could not be decoded"):
        rig.decode(*(jpeg(number, CUT_OFF) for number in range(300)))


def test_stream_without_times_of_its_own_goes_by_arrival() -> None:
    """Motion JPEG over HTTP has none, and FFmpeg invents some."""
    rig = Rig(timed=False)
    assert [each.pts_s for each in rig.decode(jpeg(0), jpeg(7))] == pytest.approx([0.0, 0.7])


def test_next_connection_may_use_a_decoder_that_worked_and_is_empty(reordered: Path) -> None:
    rig, units = units_of(reordered)
    seen = [rig.decoder.reusable]
    rig.decode(*units[:12])
    seen.append(rig.decoder.reusable)
    list(rig.decoder.drain())
    seen.append(rig.decoder.reusable)
    assert seen == [False, False, True]


def test_pictures_without_time_stamps_are_all_drained(reordered: Path) -> None:
    """A raw H.264 file has none, and its last pictures are as good as the others."""
    rig, units = units_of(reordered)
    for unit in units:
        unit.packet.pts = unit.packet.dts = None
    before = rig.decode(*units)
    assert len(before) < 24
    assert len(before) + len(list(rig.decoder.drain())) == 24


def test_decoder_that_holds_nothing_is_not_drained() -> None:
    """To drain FFmpeg's decoder ends it: it takes no further unit then."""
    rig = Rig()
    rig.decode(jpeg(0))
    assert list(rig.decoder.drain()) == []
    assert len(rig.decode(jpeg(1))) == 1
