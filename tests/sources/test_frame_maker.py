"""Decoded pictures become frames: which of them, with what number, and when they were taken."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import av
import pytest
from tests.sources.ticking import UNIX_S, TickingClock

from framelane.config.sections.stream import StreamConfig
from framelane.sources.frame_maker import FrameMaker
from framelane.sources.interfaces.source import Decoded, SourceInfo
from framelane.sources.timing.arrival_clock import Arrival
from framelane.telemetry.meters import Meters
from framelane.telemetry.status import StatusBoard

if TYPE_CHECKING:
    from framelane.core.frames import ClockName, Frame, FrameInfo


class Source:
    """A source that only says what it is."""

    def __init__(self, fps: float | None = 10.0, *, limited: bool = False) -> None:
        self.info = SourceInfo("h264", 64, 48, fps, "cpu", limited=limited)


class Rig:
    """A frame maker on a clock that stands still, and what it hands on."""

    def __init__(self, *, wait: bool = False, **options: Any) -> None:
        self.clock = TickingClock()
        self.meters = Meters()
        meter = self.meters.stream("cam")
        self.board = StatusBoard(self.clock, lambda _state: None, lambda _node: None)
        config = StreamConfig.model_validate({"id": "cam", "url": "rtsp://127.0.0.1/", **options})
        status = self.board.stream("cam", 10.0, meter)
        self.said: list[Any] = []
        self.maker = FrameMaker(config, self, meter, status, self.clock, wait=wait)

    def join(self) -> None:
        self.said.append("join")

    def leave(self) -> None:
        self.said.append("leave")

    def offer(self, frame: Frame, *, wait: bool = False) -> None:
        self.said.append((frame, wait))

    def live(
        self, pts_s: float | None, at_s: float, captured_at: float | None = None, clock: ClockName = "receive"
    ) -> None:
        """A picture that arrived `at_s` seconds after the start."""
        self.clock.now_s = max(self.clock.now_s, 100 + at_s)
        captured_at = UNIX_S + 100 + at_s if captured_at is None else captured_at
        self.maker.take(Decoded(picture(), pts_s, Arrival(100 + at_s, captured_at, clock)))

    @property
    def infos(self) -> list[FrameInfo]:
        return [each[0].info for each in self.said if isinstance(each, tuple)]

    @property
    def dropped(self) -> dict[str, int]:
        return {why: n for why, n in self.meters.snapshot().streams["cam"].dropped.items() if n}

    @property
    def details(self) -> Any:
        return self.board.streams()[0].details


def picture(width: int = 64, height: int = 48) -> av.VideoFrame:
    return av.VideoFrame(width, height, "yuv420p")


def test_frames_have_the_pixels_times_and_place_of_their_pictures() -> None:
    rig = Rig()
    rig.maker.opened(Source())
    for number in range(3):
        rig.live(5 + number / 10, number / 10)
    rig.maker.closed()
    assert (rig.said[0], rig.said[-1]) == ("join", "leave")
    infos = rig.infos
    assert [(each.stream, each.index, each.clock, each.width, each.height) for each in infos] == [
        ("cam", number, "receive", 64, 48) for number in range(3)
    ]
    assert [each.source_pts_s for each in infos] == [5.0, 5.1, 5.2]
    assert [each.captured_at for each in infos] == pytest.approx([UNIX_S + 100 + n / 10 for n in range(3)])
    assert rig.meters.snapshot().streams["cam"].decoded == 3


def test_frames_above_the_rate_are_counted_and_take_no_number() -> None:
    rig = Rig(fps=5)
    rig.maker.opened(Source())
    for number in range(20):
        rig.live(number / 10, number / 10)
    assert [each.index for each in rig.infos] == list(range(10))
    assert rig.dropped == {"fps": 10}
    assert rig.meters.snapshot().streams["cam"].decoded == 20


def test_rate_can_be_lifted_while_the_stream_runs() -> None:
    rig = Rig(fps=5)
    rig.maker.opened(Source())
    for number in range(10):
        rig.live(number / 10, number / 10)
    rig.maker.limit(None)
    for number in range(10, 20):
        rig.live(number / 10, number / 10)
    assert len(rig.infos) == 5 + 10


def test_source_that_keeps_to_the_rate_itself_is_not_limited_again() -> None:
    rig = Rig(fps=1)
    rig.maker.opened(Source(1.0, limited=True))
    for number in range(4):
        rig.live(None, number * 0.9)
    assert len(rig.infos) == 4


def test_pictures_that_were_skipped_before_decoding_leave_a_gap_in_the_numbers() -> None:
    rig = Rig()
    rig.maker.opened(Source())
    rig.live(0.0, 0.0)
    rig.maker.skipped("late", 4)
    rig.live(0.5, 0.5)
    assert [each.index for each in rig.infos] == [0, 5]
    assert rig.dropped == {"late": 4}


def test_gap_has_no_more_numbers_than_frames_were_due() -> None:
    """Of five pictures skipped at 10 fps, a stream with `fps: 5` lacks two frames."""
    rig = Rig(fps=5)
    rig.maker.opened(Source())
    rig.live(0.0, 0.0)
    rig.maker.skipped("late", 5)
    rig.live(0.6, 0.6)
    assert [each.index for each in rig.infos] == [0, 3]


def test_capture_times_never_go_back_when_the_cameras_clock_does() -> None:
    """The first sender report may be behind our own clock: time runs at half speed until it has caught up."""
    rig = Rig()
    rig.maker.opened(Source())
    for number in range(30):
        at_s = number / 10
        behind_s = 0.5 if number >= 5 else 0.0
        rig.live(at_s, at_s, UNIX_S + 100 + at_s - behind_s, "rtcp" if behind_s else "receive")
    times = [each.captured_at - UNIX_S - 100 for each in rig.infos]
    steps = [after - before for before, after in pairwise(times)]
    assert min(steps) == pytest.approx(0.05, abs=0.01)
    assert times[-1] == pytest.approx(2.9 - 0.5)
    assert {each.clock for each in rig.infos[5:]} == {"rtcp"}


def test_frame_is_due_when_all_that_it_needs_has_arrived() -> None:
    """B pictures come after those that they refer to, and are shown before them."""
    rig = Rig(fps=10)
    rig.maker.opened(Source())
    for pts_s, at_s in ((0.0, 0.0), (0.1, 0.2), (0.2, 0.1), (0.3, 0.4), (0.4, 0.3)):
        rig.live(pts_s, at_s)
    assert [each.pts_s for each in rig.infos] == sorted(each.pts_s for each in rig.infos)
    assert len(rig.infos) + rig.dropped.get("fps", 0) == 5


def test_recording_is_captured_when_it_is_played_and_limited_by_its_own_times() -> None:
    rig = Rig(fps=5, wait=True)
    rig.maker.opened(Source())
    for number in range(10):
        rig.maker.take(Decoded(picture(), number / 10, None))
    assert [each.pts_s for each in rig.infos] == pytest.approx([n / 5 for n in range(5)])
    assert {(each.captured_at, each.clock) for each in rig.infos} == {(UNIX_S + 100, "media")}
    assert all(wait for _, wait in rig.said[1:])


def test_loop_goes_on_in_time_where_the_recording_ended() -> None:
    rig = Rig()
    rig.maker.opened(Source())
    for _ in range(2):
        for number in range(3):
            rig.maker.take(Decoded(picture(), number / 10, None))
        rig.maker.restarted()
    assert [each.pts_s for each in rig.infos] == pytest.approx([n / 10 for n in range(6)])


def test_size_and_clock_are_those_of_the_newest_frame() -> None:
    rig = Rig()
    rig.maker.opened(Source(None))
    assert (rig.details.width, rig.details.clock, rig.details.decoder) == (64, None, "cpu")
    rig.clock.pass_s(1)
    rig.maker.take(Decoded(picture(128, 96), 0.0, Arrival(101, UNIX_S + 101, "rtcp")))
    assert (rig.details.width, rig.details.height, rig.details.clock) == (128, 96, "rtcp")
    rig.maker.decoder_changed("nvdec")
    assert rig.details.decoder == "nvdec"


def test_decoder_that_changes_before_the_source_is_open_is_not_shown() -> None:
    rig = Rig()
    rig.maker.decoder_changed("cpu")
    assert rig.details is None or cast("Any", rig.details).decoder is None


def test_next_connection_has_a_time_line_of_its_own_and_numbers_that_go_on() -> None:
    rig = Rig()
    rig.maker.opened(Source())
    rig.live(500.0, 0.0, UNIX_S + 5000)
    rig.maker.closed()
    rig.maker.opened(Source())
    rig.live(3.0, 1.0, UNIX_S + 101)
    first, second = rig.infos
    assert (second.index, second.pts_s, second.captured_at) == (1, 3.0, UNIX_S + 101)
    assert first.pts_s == 500.0
