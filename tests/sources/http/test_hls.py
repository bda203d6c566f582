"""Live HLS as servers really serve it: clocks that jump, playlists that stand still, sessions that end, dates."""

from __future__ import annotations

import io
import re
import time
from datetime import datetime, timezone
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import av
import pytest
from tests.neighbours.clips import ClipShape
from tests.sources.http.web import (
    FPS,
    FRAMES,
    SEGMENT_S,
    Answer,
    hls,
    numbers_of,
    playlist,
    segment,
    serving,
    video,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from tests.sources.conftest import Watch
    from tests.sources.http.web import Web
    from tests.sources.watched import WatchedCamera

READY = 3


@pytest.fixture(name="watch")
def patient(watch: Watch) -> Watch:
    """On a host with too much to do no picture is late here."""
    return partial(watch, late_ms=20_000.0)


@pytest.fixture(scope="module")
def segments() -> dict[int, bytes]:
    return {number: segment(number) for number in range(16)}


class Clock:
    """How many segments a camera has made that had made `READY` of them when it was first asked."""

    def __init__(self) -> None:
        self.began_s = 0.0

    def made(self) -> int:
        self.began_s = self.began_s or time.monotonic()
        return READY + int((time.monotonic() - self.began_s) / SEGMENT_S)


def number_in(path: str) -> int:
    found = re.search(r"s(\d+)\.", path)
    assert found is not None, path
    return int(found[1])


def live(
    segments: Mapping[int, bytes], before: Mapping[int, str] | None = None
) -> AbstractContextManager[Web]:
    """A server whose playlist grows; it has the last five segments."""
    clock = Clock()

    def answer(path: str, _headers: Mapping[str, str]) -> Answer:
        if path.endswith(".m3u8"):
            made = min(clock.made(), len(segments))
            return hls(playlist(range(max(made - 5, 0), made), before=before))
        return video(segments[number_in(path)])

    return serving(answer)


def shown(camera: WatchedCamera, segments: Mapping[int, bytes]) -> list[int | None]:
    numbers = numbers_of(segments)
    return [numbers.get(seen.pixels) for seen in camera.seen]


def downs(camera: WatchedCamera) -> list[tuple[str, str]]:
    return [(state.reason, state.text) for state in camera.states if state.state == "down"]


def arrive_evenly(camera: WatchedCamera) -> bool:
    arrivals = [seen.info.received_s for seen in camera.seen]
    return max(later - earlier for earlier, later in pairwise(arrivals)) < 1.0


def test_every_picture_is_shown_once_at_its_pace(segments: dict[int, bytes], watch: Watch) -> None:
    with live(segments) as server:
        camera = watch(f"{server.url}/live.m3u8")
        camera.wait_for_frames(5 * FRAMES)
    assert shown(camera, segments)[: 5 * FRAMES] == list(range(5 * FRAMES))
    arrivals = [seen.info.received_s for seen in camera.seen[: 5 * FRAMES]]
    assert arrivals[-1] - arrivals[0] == pytest.approx(5 * SEGMENT_S, abs=0.6)
    assert camera.states[-1].text == "frames arrive"


@pytest.mark.parametrize("marked", [True, False], ids=["discontinuity", "without a word"])
@pytest.mark.parametrize("jump_s", [3 * 3600.0, -20.0])
def test_time_stamps_that_jump_hold_nothing_up(watch: Watch, jump_s: float, marked: bool) -> None:  # noqa: FBT001
    jumpy = {number: segment(number + 40, jump_s=jump_s if number >= 4 else 0.0) for number in range(7)}
    with live(jumpy, {4: "#EXT-X-DISCONTINUITY"} if marked else {}) as server:
        camera = watch(f"{server.url}/live.m3u8")
        camera.wait_for_frames(6 * FRAMES)
        assert downs(camera) == []
    frames = shown(camera, {number + 40: data for number, data in jumpy.items()})
    assert frames[: 6 * FRAMES] == list(range(40 * FRAMES, 46 * FRAMES))
    assert arrive_evenly(camera)
    times = [seen.info.pts_s for seen in camera.seen]
    assert times == sorted(set(times))


@pytest.mark.parametrize("signed", [False, True])
def test_playlist_that_stands_still_is_shown_once_and_then_down(
    segments: dict[int, bytes],
    watch: Watch,
    signed: bool,  # noqa: FBT001
) -> None:
    """Also where the addresses of segments are signed anew in each playlist; and new segments are shown at once."""
    last = [3]
    asked_s: list[float] = []

    def answer(path: str, _headers: Mapping[str, str]) -> Answer:
        if path.endswith(".m3u8"):
            asked_s.append(time.monotonic())
            text = playlist(
                range(last[0]), target_s=0.4
            )  # not a whole number, so that the test need not wait
            return hls(re.sub(r"\.ts", f".ts?sig={len(asked_s)}", text) if signed else text)
        return video(segments[number_in(path)])

    with serving(answer) as server:
        camera = watch(f"{server.url}/live.m3u8", backoff={"first_s": 0.1, "most_s": 1.0})
        first = camera.first("down")
        asked_before = len(asked_s)
        assert first.reason == "unchanged"
        assert first.text.startswith("the playlist does not change: the server answers, but adds no video")
        camera.wait_for(lambda: len(downs(camera)) >= 5, "tries")
        assert {reason for reason, _ in downs(camera)} == {"unchanged"}
        tries = asked_s[asked_before:]
        assert tries[3] - tries[2] > tries[1] - tries[0] + 0.2  # 0.2 and 0.8 s, with jitter
        assert shown(camera, segments) == list(range(3 * FRAMES))
        last[0] = 5
        camera.wait_for_frames(5 * FRAMES)
        assert shown(camera, segments) == list(range(5 * FRAMES))
        assert camera.worker._backoff._failures < 3  # news makes the next wait short again
        camera.wait_for(lambda: len(downs(camera)) >= 7, "standstill")
        assert shown(camera, segments) == list(range(5 * FRAMES))


def test_server_that_ends_idle_sessions_is_read_without_a_loss(
    segments: dict[int, bytes], watch: Watch
) -> None:
    """As go2rtc does: a session lives on segments that are asked for, and a playlist has only what is next."""
    sessions: dict[str, list[float]] = {}
    idle_s = 1.2

    def answer(path: str, _headers: Mapping[str, str]) -> Answer:
        now_s = time.monotonic()
        if path == "/api/stream.m3u8?src=cam":
            name = f"n{len(sessions)}"
            sessions[name] = [now_s, 0]
            return hls(
                f'#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=192000,CODECS="avc1.640029"\nhls/p.m3u8?id={name}'
            )
        session = sessions[path.partition("id=")[2].partition("&")[0]]
        if now_s - session[0] > idle_s:
            return Answer(status=404)
        number = int(session[1])
        if "p.m3u8" in path:
            lines = [
                f"#EXTINF:{SEGMENT_S},\ns.ts{path[path.index('?') :]}&n={number + each}" for each in (0, 1)
            ]
            return hls(
                f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{number}\n" + "\n".join(lines)
            )
        session[0], session[1] = now_s, number + 1
        return video(segments[number % len(segments)])

    with serving(answer) as server:
        camera = watch(f"{server.url}/api/stream.m3u8?src=cam")
        camera.wait_for_frames(9 * FRAMES)
        assert downs(camera) == []
    assert list(sessions) == ["n0"]
    assert shown(camera, segments)[: 9 * FRAMES] == list(range(9 * FRAMES))


def iso(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, timezone.utc).isoformat(timespec="milliseconds")


@pytest.mark.parametrize(
    ("off_s", "options", "clock"),
    [(-3.0, {}, "playlist"), (-3600.0, {}, "receive"), (-3.0, {"clock": "receive"}, "receive")],
)
def test_capture_times_are_those_of_the_playlist(
    segments: dict[int, bytes], watch: Watch, off_s: float, options: dict[str, Any], clock: str
) -> None:
    """If they fit this host's clock; else the state says that they don't."""
    began_at = time.time() - READY * SEGMENT_S + off_s
    dates = {n: f"#EXT-X-PROGRAM-DATE-TIME:{iso(began_at + n * SEGMENT_S)}" for n in range(len(segments))}
    with live(segments, dates) as server:
        camera = watch(f"{server.url}/live.m3u8", **options)
        camera.wait_for_frames(4 * FRAMES)
        if off_s < -60:
            camera.wait_for(lambda: "not trusted" in camera.states[-1].text, "note")
    seen = camera.seen[: 4 * FRAMES]
    assert {each.info.clock for each in seen} == {clock}
    if clock == "playlist":
        wanted = [began_at + number / FPS for number in range(4 * FRAMES)]
        assert [each.info.captured_at for each in seen] == pytest.approx(wanted, abs=0.002)
    else:
        assert abs(seen[0].info.captured_at - time.time()) < 30


def master(*variants: tuple[str, str]) -> Answer:
    return hls("#EXTM3U\n" + "\n".join(f"#EXT-X-STREAM-INF:{what}\n{address}" for what, address in variants))


@pytest.mark.parametrize(
    ("options", "address", "text"),
    [
        ({}, "/high/v.m3u8", "frames arrive; video 1 of 2 (160x96, 2 Mbit/s) is shown"),
        ({"video": 0}, "/low/v.m3u8", "frames arrive; video 0 of 2 (96x64, 0.5 Mbit/s) is shown"),
    ],
)
@pytest.mark.parametrize("ended", [False, True], ids=["live", "recording"])
def test_largest_variant_is_shown_or_the_one_that_is_asked_for(
    watch: Watch,
    options: dict[str, Any],
    address: str,
    text: str,
    ended: bool,  # noqa: FBT001
) -> None:
    sizes = {"/low/": ClipShape(96, 64), "/high/": ClipShape(160, 96)}
    made = {f"{folder}s{n}.ts": segment(n, size=size) for folder, size in sizes.items() for n in range(3)}

    def answer(path: str, _headers: Mapping[str, str]) -> Answer:
        if path == "/all.m3u8":
            return master(
                ('BANDWIDTH=90000,CODECS="mp4a.40.2"', "sound.m3u8"),
                ("BANDWIDTH=500000,RESOLUTION=96x64", "low/v.m3u8"),
                ("BANDWIDTH=2000000,RESOLUTION=160x96", "high/v.m3u8"),
            )
        if path.endswith(".m3u8"):
            return hls(playlist(range(3)) + ("#EXT-X-ENDLIST\n" if ended else ""))
        return video(made[path])

    with serving(answer) as server:
        camera = watch(f"{server.url}/all.m3u8", **options)
        camera.wait_for_frames(2 * FRAMES)
        wanted = sizes[address[: address.rindex("/") + 1]]
        assert {(each.info.width, each.info.height) for each in camera.seen} == {
            (wanted.width, wanted.height)
        }
        assert camera.first("live").text == text
        if ended:
            assert camera.wait_for_end().reason == "finished"
    assert {path for path in server.hits if path.endswith("v.m3u8")} == {address}


def test_variant_that_is_not_there_is_a_fault(watch: Watch) -> None:
    with serving(lambda _path, _headers: master(("BANDWIDTH=1", "v.m3u8"))) as server:
        down = watch(f"{server.url}/all.m3u8", video=1).first("down")
    assert (down.reason, down.text) == ("no-video", "there is no video 1: it has one, number 0")


def test_recording_in_a_loop_is_played_again(segments: dict[int, bytes], watch: Watch) -> None:
    def answer(path: str, _headers: Mapping[str, str]) -> Answer:
        if path.endswith(".m3u8"):
            return hls(playlist(range(2)) + "#EXT-X-ENDLIST\n")
        return video(segments[number_in(path)])

    with serving(answer) as server:
        camera = watch(f"{server.url}/clip.m3u8", loop=True)
        camera.wait_for_frames(3 * FRAMES)
        assert downs(camera) == []
    assert shown(camera, segments)[: 3 * FRAMES] == [*range(2 * FRAMES), *range(FRAMES)]


def test_live_stream_that_its_server_ends_is_not_shown_again(
    segments: dict[int, bytes], watch: Watch
) -> None:
    ended = [""]

    def answer(path: str, _headers: Mapping[str, str]) -> Answer:
        return (
            hls(playlist(range(3)) + ended[0]) if path.endswith(".m3u8") else video(segments[number_in(path)])
        )

    with serving(answer) as server:
        camera = watch(f"{server.url}/live.m3u8")
        camera.wait_for_frames(1)
        ended[0] = "#EXT-X-ENDLIST\n"
        camera.wait_for(lambda: len(downs(camera)) >= 3, "end")
    assert set(downs(camera)) == {("ended", "the server has ended the stream: its playlist says so")}
    assert shown(camera, segments) == list(range(3 * FRAMES))


def test_segment_that_its_server_has_lost_is_passed_over(segments: dict[int, bytes], watch: Watch) -> None:
    clock = Clock()

    def answer(path: str, _headers: Mapping[str, str]) -> Answer:
        if path.endswith(".m3u8"):
            return hls(playlist(range(min(clock.made(), 9)), before={5: "#EXT-X-GAP"}))
        number = number_in(path)
        return Answer(status=404) if number == 3 else video(segments[number])

    with serving(answer) as server:
        camera = watch(f"{server.url}/live.m3u8")
        camera.wait_for_frames(5 * FRAMES)
        assert downs(camera) == []
    wanted = [number for number in range(7 * FRAMES) if number // FRAMES not in (3, 5)]
    assert shown(camera, segments)[: 5 * FRAMES] == wanted


def test_server_that_has_lost_all_its_segments_is_down(segments: dict[int, bytes], watch: Watch) -> None:
    """Although its playlist moves on."""
    clock = Clock()

    def answer(path: str, _headers: Mapping[str, str]) -> Answer:
        if path.endswith(".m3u8"):
            return hls(playlist(range(clock.made())))
        number = number_in(path)
        return Answer(status=404) if number > 2 else video(segments[number])

    with serving(answer) as server:
        camera = watch(f"{server.url}/live.m3u8")
        assert camera.first("down").reason == "not-found"


@pytest.mark.parametrize(
    ("status", "reason"), [(404, "not-found"), (503, "rejected"), (401, "unauthorized"), (403, "forbidden")]
)
def test_server_that_refuses_is_named_by_its_words(watch: Watch, status: int, reason: str) -> None:
    with serving(lambda _path, _headers: Answer(status=status)) as server:
        down = watch(f"{server.url}/live.m3u8").first("down")
    assert down.reason == reason
    if status == 503:
        assert down.text == "the server answers 503 Service Unavailable"


def test_server_that_fails_later_is_named_by_its_words(segments: dict[int, bytes], watch: Watch) -> None:
    fails = [False]

    def answer(path: str, _headers: Mapping[str, str]) -> Answer:
        if path.endswith(".m3u8"):
            return Answer(status=502) if fails[0] else hls(playlist(range(3)))
        return video(segments[number_in(path)])

    with serving(answer) as server:
        camera = watch(f"{server.url}/live.m3u8")
        camera.wait_for_frames(1)
        fails[0] = True
        assert camera.first("down").text == "the server answers 502 Bad Gateway"


def test_reader_is_the_choice_of_the_user(segments: dict[int, bytes], watch: Watch) -> None:
    with live(segments) as server:
        camera = watch(f"{server.url}/live.m3u8", reader="ffmpeg")
        camera.wait_for_frames(FRAMES)
    assert any("Lavf" in headers.get("user-agent", "") for _, headers in server.asked)
    assert not any("framelane" in headers.get("user-agent", "") for _, headers in server.asked)


def test_address_that_does_not_look_like_a_playlist_is_found_out(
    segments: dict[int, bytes], watch: Watch
) -> None:
    clock = Clock()

    def answer(path: str, _headers: Mapping[str, str]) -> Answer:
        return (
            hls(playlist(range(min(clock.made(), 9))))
            if path == "/watch"
            else video(segments[number_in(path)])
        )

    with serving(answer) as server:
        camera = watch(f"{server.url}/watch")
        camera.wait_for_frames(2 * FRAMES)
        assert downs(camera) == []
    assert any("framelane" in headers["user-agent"] for path, headers in server.asked if path == "/watch")


def test_segments_are_whole_files_to_judge_by(segments: dict[int, bytes]) -> None:
    """What the tests above stand on: each begins with a key frame, and no picture is like another."""
    numbers = numbers_of(segments)
    assert sorted(numbers.values()) == list(range(len(segments) * FRAMES))
    with av.open(io.BytesIO(segments[3]), "r") as source:
        assert next(source.decode(video=0)).key_frame
