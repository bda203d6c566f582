from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, get_args

import av
import pytest

from framelane.live.records import Kind
from framelane.live.video import Video
from framelane.sources.interfaces.tap import UnitOrigin

from .coded import FPS, TICKS, Coded, number_of, recording, unit_of
from .coded import Kind as Coding

if TYPE_CHECKING:
    from collections.abc import Iterable

    from framelane.live.records import Record


def played(records: Iterable[Record]) -> list[tuple[int, float, bool]]:
    """What a player sees: each picture's number, time in seconds, and whether it is a key frame."""
    file = io.BytesIO()
    for record in records:
        skip = 1 + record.payload[0] if record.key else 0
        file.write(record.payload[skip:])
    file.seek(0)
    with av.open(file, "r", format="mp4") as container:
        frames: list[Any] = list(container.decode(video=0))
    return [
        (number_of(frame.to_ndarray(format="gray")), float(frame.pts * frame.time_base), frame.key_frame)
        for frame in frames
    ]


def records_of(units: Iterable[Coded], codec: str, extradata: bytes) -> list[Record]:
    video, origin = Video(), UnitOrigin(codec)
    records = [video.add(origin, unit_of(coded, extradata)) for coded in units]
    return [record for record in records if record is not None]


@pytest.mark.parametrize("kind", get_args(Coding))
def test_every_picture_is_played_at_its_media_time(kind: Coding) -> None:
    made = recording(kind)
    records = records_of(made.units, made.codec, made.extradata)
    times = {coded.number: record.media_s for coded, record in zip(made.units, records, strict=True)}
    shown = played(records)
    assert [number for number, _, _ in shown] == list(range(40))
    assert [round(at_s * 90_000) for _, at_s, _ in shown] == [round(times[n] * 90_000) for n in range(40)]
    assert [number for number, _, key in shown if key] == [u.number for u in made.units if u.key]


def test_a_viewer_can_begin_at_any_key_frame() -> None:
    made = recording()
    records = records_of(made.units, made.codec, made.extradata)
    later = records[20:]
    assert [record.key for record in later[:2]] == [True, False]
    assert [number for number, _, _ in played(later)] == list(range(20, 40))


def test_nothing_is_shown_before_the_first_key_frame() -> None:
    made = recording()
    records = records_of(made.units[3:], made.codec, made.extradata)
    assert [number for number, _, _ in played(records)] == list(range(10, 40))


def test_what_needs_a_damaged_picture_is_left_out() -> None:
    made, video, origin = recording(), Video(), UnitOrigin("h264")
    shown = [
        coded.number
        for coded in made.units
        if video.add(origin, unit_of(coded, made.extradata, whole=coded.number != 5)) is not None
    ]
    assert shown == [*range(5), *range(10, 40)]


def test_a_new_size_comes_with_the_key_frame_that_has_it() -> None:
    small, large = recording(), recording("h264", 20, (640, 480))
    video, origin = Video(), UnitOrigin("h264")
    records = [video.add(origin, unit_of(each, small.extradata)) for each in small.units]
    changed = [
        video.add(origin, unit_of(each._replace(number=each.number + 40), large.extradata))
        for each in large.units
    ]
    head = changed[0]
    assert head is not None
    assert head.key
    assert (640).to_bytes(2, "big") + (480).to_bytes(2, "big") in head.payload[:1000]
    times = [each.media_s for each in (*records, *changed) if each is not None]
    assert [round(each * 90_000) for each in times] == [90_000 + number * TICKS for number in range(60)]


def test_time_goes_on_after_a_reconnect() -> None:
    made, video = recording(), Video()
    first = [video.add(UnitOrigin("h264"), unit_of(each, made.extradata)) for each in made.units[:1]]
    # The camera begins at 0 again, 30 s later.
    second = video.add(UnitOrigin("h264"), unit_of(made.units[0], made.extradata, late_s=30.0))
    assert first[0] is not None
    assert second is not None
    assert (first[0].media_s, second.media_s) == (1.0, 31.0)


def test_parameter_sets_within_the_key_frame_are_enough() -> None:
    made = recording()
    assert len(records_of(made.units, made.codec, b"")) == 40


@pytest.mark.parametrize(
    "extradata", [b"\x00\x00\x00\x01\x67", b"\x01\x64", b"\x00\x00\x00\x01\xff\xff", b"junk"]
)
def test_parameter_sets_that_make_no_sense_show_nothing(extradata: bytes) -> None:
    made = recording()
    assert records_of(made.units, made.codec, extradata) == []


def test_other_codecs_show_nothing() -> None:
    made = recording()
    assert records_of(made.units, "mjpeg", made.extradata) == []


def test_records_are_of_video_with_the_time_of_capture() -> None:
    made = recording()
    record = records_of(made.units, made.codec, made.extradata)[2]
    assert (record.kind, record.captured_at) == (Kind.VIDEO, 1_000_000.0 + 2 / FPS)
