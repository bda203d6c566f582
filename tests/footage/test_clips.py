from __future__ import annotations

import errno
import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

import av
import pytest
from tests.footage.pictures import event_of
from tests.live.coded import FPS, Kind, Recording, number_of, recording, unit_of
from tests.sinks.examples import FakeClock

from framelane.config.sections.footage import ClipsConfig
from framelane.config.sections.stream import StreamConfig
from framelane.core.events import Event
from framelane.footage.address import Addresses
from framelane.footage.clip_events import ClipEvents
from framelane.live.tap import StreamTap
from framelane.messages.events import event_id
from framelane.sources.interfaces.tap import UnitOrigin
from framelane.telemetry.meters import StreamMeter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from framelane.core.events import Occupancy
    from framelane.footage.store import Place

START = 1_000_000.0
"""Capture time of picture 0."""
URL = "http://gate-01:8080"
MADE = recording("h264", 400)
"""16 s with a key frame every 0.4 s."""


class Disk:
    """Keeps files in memory, or fails."""

    def __init__(self, path: Path) -> None:
        self.files: dict[str, bytes] = {}
        self.error: OSError | None = None
        self._path = path

    def write(self, place: Place, parts: Sequence[bytes]) -> Path:
        if self.error is not None:
            raise self.error
        assert place.suffix == "mp4"
        self.files[place.event] = b"".join(parts)
        return self._path


class Bench:
    """A camera whose pictures carry their number, and events of its objects."""

    def __init__(self, path: Path, url: str | None = URL) -> None:
        self.disk, self.clock = Disk(path), FakeClock(wall_s=START)
        self.taken: list[Event | Occupancy] = []
        self.tap, self.meter = StreamTap(), StreamMeter("lobby")
        self.events = ClipEvents("gate-01", Addresses(url), self.disk, self.clock, self)
        self.origin = UnitOrigin("h264")

    def take(self, happenings: Sequence[Event | Occupancy]) -> None:
        self.taken += happenings

    def configure(self, **options: Any) -> None:
        clips = ClipsConfig(**{"before_s": 2, "after_s": 1, **options})
        self.follow(clips)

    def follow(self, clips: ClipsConfig | None) -> None:
        stream = StreamConfig.model_validate({"id": "lobby", "url": "rtsp://10.0.0.7/1"})
        self.events.follow(stream.model_copy(update={"clips": clips}), self.tap, self.meter)

    def play(self, numbers: Iterable[int], made: Recording = MADE) -> None:
        """Let the camera deliver pictures, in decoding order."""
        for number in numbers:
            assert self.tap.unit is not None
            self.tap.unit(self.origin, unit_of(made.units[number], made.extradata))

    def happen(self, track: int, kind: str, at_s: float, since_s: float = 0.0, **changes: Any) -> Event:
        event = event_of(track, kind, at=START + at_s, **changes)
        event = replace(event, object=replace(event.object, since=START + since_s))
        self.events.take([event])
        return event

    def stop(self) -> None:
        self.events.stop(5)

    def clip(self, event: Event) -> list[int]:
        """The numbers of the pictures that a player shows."""
        with av.open(io.BytesIO(self.disk.files[event_id("gate-01", event)]), "r") as container:
            frames: list[Any] = list(container.decode(video=0))
        times = [float(frame.pts * frame.time_base) for frame in frames]
        assert times == sorted(times)
        assert times[0] == 0.0
        return [number_of(frame.to_ndarray(format="gray")) for frame in frames]

    @property
    def ready(self) -> list[Event]:
        return [each for each in self.taken if isinstance(each, Event) and each.kind == "clip"]

    @property
    def fates(self) -> dict[str, int]:
        return {fate: count for fate, count in self.meter.snapshot().clips.items() if count}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def assert_promised(numbers: list[int], begin_s: float, end_s: float, gop_s: float = 0.4) -> None:
    """It begins at most one GOP before the requested second, never after it, and has every picture to its end."""
    assert begin_s - gop_s < numbers[0] / FPS <= begin_s
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert end_s - 1 / FPS < numbers[-1] / FPS <= end_s + 1e-6


def test_clip_of_an_object_shows_it_from_before_it_came_until_after_it_was_gone(bench: Bench) -> None:
    bench.configure()
    bench.play(range(110))
    new = bench.happen(7, "new", 4.1, since_s=4.1)
    bench.play(range(110, 200))
    end = bench.happen(7, "end", 6.3, since_s=4.1, reason="left")
    bench.play(range(200, 250))
    bench.stop()
    assert_promised(bench.clip(end), 2.1, 7.3)
    (ready,) = bench.ready
    assert bench.taken == [new, end, ready]
    name = event_id("gate-01", end)
    assert (ready.of, ready.clip_url) == (name, f"{URL}/api/events/{name}/clip.mp4")
    assert (ready.rule, ready.direction, ready.reason, ready.ordinal) == (None, None, None, 1)
    assert ready.since == pytest.approx(START + 2.0)
    assert ready.at == pytest.approx(START + 7.28)
    assert bench.fates == {"kept": 1}


@pytest.mark.parametrize("kind", get_args(Kind))
def test_clips_of_each_codec_play_from_their_first_picture(bench: Bench, kind: Kind) -> None:
    made = recording(kind, 200)
    bench.origin = UnitOrigin(made.codec)
    bench.configure(kinds=["line"])
    bench.play(range(120), made)
    crossed = bench.happen(7, "line", 4.5, rule="street")
    bench.play(range(120, 140), made)
    bench.happen(7, "end", 5.0)
    bench.play(range(140, 180), made)
    bench.stop()
    numbers = bench.clip(crossed)
    assert 2.5 - 0.5 < numbers[0] / FPS <= 2.5
    # With B-frames the last picture in decoding order is not the last that is shown.
    assert 5.9 < numbers[-1] / FPS <= 6.1


def test_eight_clips_that_overlap_are_all_as_promised(bench: Bench) -> None:
    bench.configure(kinds=["line", "end"], before_s=1.5)
    begun: dict[int, tuple[float, Event]] = {}
    ended: dict[int, tuple[float, Event]] = {}
    for number in range(400):
        bench.play([number])
        at_s = number / FPS
        if number >= 55 and number % 20 == 15 and len(begun) < 8:
            track = 10 + len(begun)
            bench.happen(track, "new", at_s, since_s=at_s - 0.3)
            begun[track] = at_s, bench.happen(track, "line", at_s, since_s=at_s - 0.3, rule="street")
        if number % 20 == 10 and number > 220 and len(ended) < 8:
            track = 10 + len(ended)
            ended[track] = at_s, bench.happen(track, "end", at_s, since_s=begun[track][0] - 0.3)
    bench.stop()
    assert bench.fates == {"kept": 16}
    for track, (at_s, crossed) in begun.items():
        end_s, end = ended[track]
        last_s = min(end_s + 1, 399 / FPS)
        assert_promised(bench.clip(crossed), at_s - 1.5, last_s)
        assert_promised(bench.clip(end), at_s - 0.3 - 1.5, last_s)
    assert sorted(each.of for each in bench.ready if each.of) == sorted(bench.disk.files)
    assert len({event_id("gate-01", each) for each in bench.ready}) == 16


def test_event_may_be_told_seconds_after_it_has_happened(bench: Bench) -> None:
    bench.configure(kinds=["zone_enter"])
    bench.play(range(300))
    entered = bench.happen(7, "zone_enter", 300 / FPS - 2.9, rule="yard")
    bench.play(range(300, 310))
    bench.stop()
    assert_promised(bench.clip(entered), 300 / FPS - 4.9, 309 / FPS)


def test_clip_ends_in_any_case_and_says_so_before_its_object_ends(bench: Bench) -> None:
    bench.configure(most_s=3)
    bench.play(range(100))
    bench.happen(7, "new", 4.0, since_s=4.0)
    bench.play(range(100, 220))
    bench.stop()
    (ready,) = bench.ready
    end = bench.happen(7, "end", 9.0, since_s=4.0)
    assert ready.of == event_id("gate-01", end)
    assert_promised(bench.clip(end), 2.0, 7.0)


def test_memory_is_bounded_and_the_oldest_clip_ends_for_it(bench: Bench) -> None:
    size = sum(len(coded.data) for coded in MADE.units[:100])
    bench.configure(kinds=["line"], max_bytes=f"{size // 1000}KB", most_s=60)
    bench.play(range(60))
    first = bench.happen(7, "line", 2.3, rule="street")
    bench.play(range(60, 300))
    second = bench.happen(8, "line", 11.9, rule="street")
    bench.play(range(300, 310))
    (recorder,) = bench.events._recorders.values()
    assert recorder._ring.size <= size
    bench.stop()
    numbers = bench.clip(first)
    assert numbers[0] / FPS <= 0.3
    assert 70 < len(numbers) < 130
    assert_promised(bench.clip(second), 9.9, 309 / FPS)


def test_video_without_events_is_held_for_the_pre_roll_only(bench: Bench) -> None:
    bench.configure()
    bench.play(range(400))
    (recorder,) = bench.events._recorders.values()
    held_s = 399 / FPS - (recorder._ring.gops[0].begins_at - START)
    assert 5 <= held_s <= 5.8


def test_damaged_pictures_and_what_needs_them_are_left_out(bench: Bench) -> None:
    bench.configure(kinds=["line"])
    for number in range(200):
        assert bench.tap.unit is not None
        unit = unit_of(MADE.units[number], MADE.extradata, whole=number != 103)
        bench.tap.unit(bench.origin, unit)
    crossed = bench.happen(7, "line", 5.0, rule="street")
    bench.happen(7, "end", 5.0)
    bench.stop()
    assert bench.clip(crossed) == [*range(70, 103), *range(110, 151)]


def test_clip_does_not_mix_parameter_sets_of_two_connections(bench: Bench) -> None:
    other = recording("h264", 200, (640, 480))
    bench.configure(kinds=["line"])
    bench.play(range(100))
    bench.origin = UnitOrigin("h264")
    for number in range(100, 200):
        assert bench.tap.unit is not None
        bench.tap.unit(bench.origin, unit_of(other.units[number], other.extradata))
    crossed = bench.happen(7, "line", 5.0, rule="street")
    bench.stop()
    assert bench.clip(crossed) == list(range(100, 200))


def test_clip_is_finished_when_no_more_video_comes(bench: Bench) -> None:
    bench.configure(kinds=["line"])
    bench.play(range(100))
    crossed = bench.happen(7, "line", 3.9, rule="street")
    bench.happen(7, "end", 3.95)
    (recorder,) = bench.events._recorders.values()
    recorder.look(START + 4.9)
    assert recorder._open
    recorder.look(START + 7.0)
    assert not recorder._open
    bench.stop()
    assert bench.clip(crossed)[-1] == 99


def test_event_without_video_has_no_clip_and_is_counted(bench: Bench) -> None:
    bench.configure(kinds=["line"])
    bench.happen(7, "line", 1.0, rule="street")
    bench.stop()
    assert (bench.ready, bench.fates) == ([], {"failed": 1})


def test_full_disk_costs_clips_alone(bench: Bench) -> None:
    bench.disk.error = OSError(errno.ENOSPC, "No space left on device")
    bench.configure(kinds=["line"])
    bench.play(range(100))
    crossed = bench.happen(7, "line", 3.0, rule="street")
    bench.stop()
    assert (bench.taken, bench.fates) == ([crossed], {"disk": 1})


def test_too_many_open_clips_are_refused_and_counted(bench: Bench) -> None:
    bench.configure(kinds=["line"])
    bench.play(range(100))
    for track in range(70):
        bench.happen(track + 1, "line", 3.0, rule="street")
    bench.stop()
    assert bench.fates == {"kept": 64, "queue": 6}


def test_nothing_watches_a_stream_without_clips(bench: Bench) -> None:
    bench.follow(None)
    assert bench.tap.unit is None
    bench.configure()
    assert bench.tap.unit is not None
    bench.play(range(30))
    bench.follow(None)
    assert bench.tap.unit is None
    assert bench.happen(7, "line", 1.0) == bench.taken[0]


def test_change_of_other_options_keeps_what_is_recorded(bench: Bench) -> None:
    bench.configure()
    before = dict(bench.events._recorders)
    bench.configure()
    assert bench.events._recorders == before
    bench.configure(after_s=2)
    assert bench.events._recorders != before


def test_without_an_address_the_clip_is_kept_and_told_without_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path, url=None)
    bench.configure(kinds=["line"])
    bench.play(range(100))
    bench.happen(7, "line", 3.0, rule="street")
    bench.stop()
    assert [each.clip_url for each in bench.ready] == [None]
