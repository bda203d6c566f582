"""What an HTTP address is, and by whom it is read: live HLS, single pictures, or whatever FFmpeg opens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from tests.sources.http.web import Answer, hls, playlist, segment, serving, video

from framelane.config.sections.stream import StreamConfig
from framelane.core.clock import SystemClock
from framelane.core.errors import SourceError
from framelane.sources.decoding.source_parts import SourceParts
from framelane.sources.ffmpeg.container import ContainerSource
from framelane.sources.http.hls import HlsSource
from framelane.sources.http.opening import HttpOpener, choose_variant
from framelane.sources.http.playlist import Variant
from framelane.sources.http.snapshot import SnapshotSource
from framelane.telemetry.meters import StreamMeter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.sources.http.web import Web

MASTER = """#EXTM3U
#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS="mp4a.40.2"
sound.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=640x360
low.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=3000000,RESOLUTION=1920x1080
high.m3u8
"""
SOUND, LOW, HIGH = (
    Variant("sound", 64_000, None, sound=True),
    Variant("low", 800_000, (640, 360), sound=False),
    Variant("high", 3_000_000, (1920, 1080), sound=False),
)


@pytest.fixture(scope="module")
def pieces() -> dict[str, bytes]:
    return {f"/s{number}.ts": segment(number) for number in range(3)}


def jpeg() -> bytes:
    return cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()


def opener(web: Web, path: str, **options: Any) -> HttpOpener:
    config = StreamConfig.model_validate(
        {"id": "cam", "url": web.url + path, "open_timeout_s": 5, "read_timeout_s": 5, **options}
    )
    parts = SourceParts(SystemClock(), StreamMeter("cam"))
    return HttpOpener(config, parts, lambda _unchanged: None)


@pytest.mark.parametrize(
    ("variants", "wanted", "chosen", "note"),
    [
        ([SOUND, LOW, HIGH], None, HIGH, "video 1 of 2 (1920x1080, 3 Mbit/s) is shown"),
        ([SOUND, LOW, HIGH], 0, LOW, "video 0 of 2 (640x360, 0.8 Mbit/s) is shown"),
        ([SOUND, LOW], None, LOW, ""),
        ([LOW, Variant("more", 900_000, (640, 360), sound=False)], None, None, "video 1 of 2 (640x360, 0.9"),
    ],
)
def test_variant_is_the_largest_or_the_one_asked_for(
    variants: list[Variant], wanted: int | None, chosen: Variant | None, note: str
) -> None:
    found, said = choose_variant(variants, wanted)
    assert chosen in (None, found)
    assert said.startswith(note)
    assert bool(said) == bool(note)


@pytest.mark.parametrize(
    ("variants", "wanted", "text"),
    [
        ([LOW, HIGH, SOUND], 2, "there is no video 2: "),
        ([SOUND], None, "there is no video in it, but audio; check the path in the URL"),
    ],
)
def test_variant_that_is_not_there_is_named(variants: list[Variant], wanted: int | None, text: str) -> None:
    with pytest.raises(SourceError) as found:
        choose_variant(variants, wanted)
    assert found.value.reason == "no-video"
    assert str(found.value).startswith(text)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/live.m3u8", HlsSource),
        ("/live.m3u8?token=1", HlsSource),
        ("/snap.jpg", SnapshotSource),
        ("/page.jpg", ContainerSource),
        ("/camera", ContainerSource),
        ("/old.m3u8", ContainerSource),
    ],
    ids=["playlist", "with a query", "picture", "named like a picture", "anything else", "ended playlist"],
)
def test_address_is_read_as_what_the_server_sends(pieces: dict[str, bytes], path: str, kind: type) -> None:
    def answer(path: str, _headers: Mapping[str, str]) -> Answer:
        name = path.partition("?")[0]
        if name == "/snap.jpg":
            return Answer(jpeg(), "image/jpeg")
        if name == "/old.m3u8":
            return hls(playlist(range(3)) + "#EXT-X-ENDLIST\n")
        if name == "/live.m3u8":
            return hls(playlist(range(3)))
        return video(pieces.get(name, pieces["/s0.ts"]))

    with serving(answer) as web, opener(web, path).open() as source:
        assert type(source) is kind


def test_stream_that_ffmpeg_is_to_read_is_left_to_it(pieces: dict[str, bytes]) -> None:
    def answer(path: str, _headers: Mapping[str, str]) -> Answer:
        return hls(playlist(range(3))) if path.endswith(".m3u8") else video(pieces[path])

    with serving(answer) as web, opener(web, "/live.m3u8", reader="ffmpeg").open() as source:
        assert type(source) is ContainerSource
        assert source.format == "hls"


def test_picture_under_any_name_is_polled_once_ffmpeg_has_told_that_it_is_one() -> None:
    def answer(_path: str, _headers: Mapping[str, str]) -> Answer:
        return Answer(jpeg(), "image/jpeg")

    with serving(answer) as web:
        entrance = opener(web, "/cgi-bin/snapshot")
        with entrance.open() as source:
            assert type(source) is SnapshotSource
        before = web.hits["/cgi-bin/snapshot"]
        with entrance.open():
            # It is remembered, so FFmpeg does not ask first.
            assert web.hits["/cgi-bin/snapshot"] == before + 1


def test_master_playlist_leads_to_its_largest_video(pieces: dict[str, bytes]) -> None:
    def answer(path: str, _headers: Mapping[str, str]) -> Answer:
        if path == "/all.m3u8":
            return hls(MASTER)
        return hls(playlist(range(3))) if path.endswith(".m3u8") else video(pieces[path])

    with serving(answer) as web, opener(web, "/all.m3u8").open() as source:
        assert isinstance(source, HlsSource)
        assert source.choice_note == "video 1 of 2 (1920x1080, 3 Mbit/s) is shown"
        assert (web.hits["/high.m3u8"] >= 1, web.hits["/low.m3u8"]) == (True, 0)


def test_playlist_that_has_ended_after_it_was_live_is_not_played_again(pieces: dict[str, bytes]) -> None:
    text = [playlist(range(3))]

    def answer(path: str, _headers: Mapping[str, str]) -> Answer:
        return hls(text[0]) if path.endswith(".m3u8") else video(pieces[path])

    with serving(answer) as web:
        entrance = opener(web, "/live.m3u8")
        with entrance.open() as source:
            assert next(iter(source.pictures())).picture.width == 96
        text[0] += "#EXT-X-ENDLIST\n"
        with pytest.raises(SourceError) as found:
            entrance.open()
    assert found.value.reason == "ended"


def test_server_that_refuses_is_told_of_with_its_status() -> None:
    with serving(lambda _path, _headers: Answer(status=404)) as web, pytest.raises(SourceError) as found:
        opener(web, "/live.m3u8").open()
    assert found.value.reason == "not-found"
