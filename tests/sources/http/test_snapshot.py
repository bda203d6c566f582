"""Addresses that give one picture at a time: polled at `fps`, one request for each result."""

from __future__ import annotations

import hashlib
import re
import time
from base64 import b64encode
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from tests.media.test_orientation import jpeg, png, tiff, webp
from tests.sources.http.web import Answer, serving

from framelane.config.sections.stream import StreamConfig
from framelane.core.clock import SystemClock
from framelane.sources.decoding.source_parts import SourceParts
from framelane.sources.http.opening import HttpOpener
from framelane.sources.http.snapshot import SnapshotSource
from framelane.telemetry.meters import Meters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.sources.conftest import Watch

FPS = 10
USER, PASSWORD = "admin", "open/sesame#ali"
LOGIN = "admin:open%2Fsesame%23ali"


def picture(shade: int, size_wh: tuple[int, int] = (96, 64)) -> bytes:
    pixels = np.full((size_wh[1], size_wh[0], 3), shade, np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def shot(body: bytes, **more: Any) -> Answer:
    return Answer(body, "image/jpeg", **more)


def test_picture_is_asked_for_as_often_as_fps_says(watch: Watch) -> None:
    with serving(lambda _path, _headers: shot(picture(90))) as server:
        camera = watch(f"{server.url}/snap.jpg", fps=FPS)
        camera.wait_for_frames(2 * FPS)
        assert server.hits["/snap.jpg"] <= len(camera.seen) + 1
    seen = camera.seen[: 2 * FPS]
    assert [each.info.pts_s for each in seen] == pytest.approx([n / FPS for n in range(2 * FPS)], abs=0.001)
    span_s = seen[-1].info.received_s - seen[0].info.received_s
    assert span_s == pytest.approx((2 * FPS - 1) / FPS, abs=0.15)
    assert {each.info.clock for each in seen} == {"receive"}
    # Without its server it is down soon.
    assert [state.state for state in camera.states[:3]] == ["connecting", "connecting", "live"]
    assert camera.dropped.get("fps", 0) == 0


@pytest.mark.parametrize(("fps", "rate"), [(None, 1.0), (0.5, 0.5), (4.0, 4.0)])
def test_rate_is_one_per_second_by_default(fps: float | None, rate: float) -> None:
    with serving(lambda _path, _headers: shot(picture(90))) as server:
        config = StreamConfig.model_validate({"id": "cam", "url": f"{server.url}/snap.jpg", "fps": fps})
        parts = SourceParts(SystemClock(), Meters().stream("cam"))
        entrance = HttpOpener(config, parts, lambda _unchanged: None)
        with entrance.open() as source:
            assert isinstance(source, SnapshotSource)
            assert (source.info.fps, source.info.codec) == (rate, "mjpeg")


def test_server_that_is_slow_is_not_asked_in_bursts(watch: Watch) -> None:
    asked_s: list[float] = []

    def answer(_path: str, _headers: Mapping[str, str]) -> Answer:
        asked_s.append(time.monotonic())
        time.sleep(0.35 if len(asked_s) == 4 else 0)
        return shot(picture(90))

    with serving(answer) as server:
        watch(f"{server.url}/snap.jpg", fps=FPS).wait_for_frames(12)
    waits = [later - earlier for earlier, later in pairwise(asked_s)]
    assert min(waits) > 0.05
    assert 0.35 <= waits[3] < 0.6


@pytest.mark.parametrize(
    ("tells", "asks"), [("ETag", "if-none-match"), ("Last-Modified", "if-modified-since")]
)
def test_picture_that_has_not_changed_is_no_result(watch: Watch, tells: str, asks: str) -> None:
    version = ["Sun, 29 Nov 2026 10:00:00 GMT"]

    def answer(_path: str, headers: Mapping[str, str]) -> Answer:
        if headers.get(asks) == version[0]:
            return Answer(status=304)
        return shot(picture(len(version[0])), headers={tells: version[0]})

    with serving(answer) as server:
        camera = watch(f"{server.url}/snap.jpg", fps=FPS, silence_s=1.0)
        camera.wait_for(lambda: server.hits["/snap.jpg"] >= 3 * FPS, "requests")
        assert len(camera.seen) == 1
        unchanged = "frames arrive; the server says that its picture has not changed"
        assert (camera.states[-1].state, camera.states[-1].text) == ("live", unchanged)
        version[0] = "Sun, 29 Nov 2026 10:00:10 GMT"
        camera.wait_for_frames(2)
        camera.wait_for(lambda: camera.states[-1].text != "", "state")
    assert "stalled" not in {state.state for state in camera.states}
    assert "down" not in {state.state for state in camera.states}


@pytest.mark.parametrize("how", ["cut off", "empty", "rubbish"])
def test_broken_picture_is_counted_and_passed_over(watch: Watch, how: str) -> None:
    whole = picture(90)
    broken = {
        "cut off": shot(whole[: len(whole) // 3], length=len(whole)),
        "empty": shot(b""),
        "rubbish": shot(b"\xff\xd8" + b"no picture" * 20),
    }[how]
    count = [0]

    def answer(_path: str, _headers: Mapping[str, str]) -> Answer:
        count[0] += 1
        return broken if count[0] % 3 == 0 else shot(whole)

    with serving(answer) as server:
        camera = watch(f"{server.url}/snap.jpg", fps=FPS)
        camera.wait_for_frames(8)
        assert camera.dropped["decode"] >= 3
    assert {state.state for state in camera.states} == {"connecting", "live"}


@pytest.mark.parametrize("scheme", ["basic", "MD5", "SHA-256"])
def test_login_in_the_address_is_used(watch: Watch, scheme: str) -> None:
    """Digest by RFC 7616, checked by hashes of our own."""
    nonce = "6f2a"

    def accepted(path: str, value: str) -> bool:
        if scheme == "basic":
            return value == "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        parts = dict(re.findall(r'(\w+)="?([^",]*)"?', value))
        algorithm = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[scheme]

        def digest(text: str) -> str:
            return algorithm(text.encode()).hexdigest()

        secret, action = digest(f"{USER}:cams:{PASSWORD}"), digest(f"GET:{path}")
        proof = f"{secret}:{nonce}:{parts.get('nc')}:{parts.get('cnonce')}:auth:{action}"
        return parts.get("response") == digest(proof)

    def answer(path: str, headers: Mapping[str, str]) -> Answer:
        if accepted(path, headers.get("authorization", "")):
            return shot(picture(90))
        asks = f'Digest realm="cams", nonce="{nonce}", qop="auth", algorithm={scheme}'
        return Answer(
            status=401, headers={"WWW-Authenticate": 'Basic realm="cams"' if scheme == "basic" else asks}
        )

    with serving(answer) as server:
        camera = watch(f"{server.url.replace('//', f'//{LOGIN}@')}/snap.jpg?ch=1", fps=FPS)
        camera.wait_for_frames(5)
        wrong = watch(f"{server.url.replace('//', '//admin:wrong@')}/snap.jpg?ch=1", fps=FPS)
        assert wrong.first("down").reason == "unauthorized"
        asked = [headers for _, headers in server.asked]
    assert sum("authorization" not in headers for headers in asked) <= 4  # once a connection
    assert PASSWORD not in repr(camera.states)


def test_login_goes_to_no_other_server(watch: Watch) -> None:
    with serving(lambda _path, _headers: shot(picture(90))) as other:

        def answer(_path: str, headers: Mapping[str, str]) -> Answer:
            if "authorization" not in headers:
                return Answer(status=401, headers={"WWW-Authenticate": 'Basic realm="cams"'})
            return Answer(status=302, headers={"Location": f"{other.url}/there.jpg"})

        with serving(answer) as server:
            watch(f"{server.url.replace('//', f'//{LOGIN}@')}/snap.jpg", fps=FPS).wait_for_frames(3)
        assert other.hits["/there.jpg"] >= 3
        assert not any("authorization" in headers for _, headers in other.asked)


@pytest.mark.parametrize(
    ("make", "size_wh"), [(jpeg, (48, 80)), (png, (48, 80)), (webp, (48, 80))], ids=["jpeg", "png", "webp"]
)
def test_picture_is_turned_as_its_exif_says(
    watch: Watch, make: Callable[[bytes], bytes], size_wh: tuple[int, int]
) -> None:
    media_type = f"image/{make.__name__}"
    with serving(lambda _path, _headers: Answer(make(tiff(6)), media_type)) as server:
        camera = watch(f"{server.url}/snap.jpg", fps=FPS)
        camera.wait_for_frames(2)
    assert {(each.info.width, each.info.height) for each in camera.seen} == {size_wh}


@pytest.mark.parametrize("path", ["/ISAPI/Streaming/channels/101/picture", "/cgi-bin/snapshot.cgi?channel=1"])
def test_picture_is_found_out_whatever_its_address_looks_like(watch: Watch, path: str) -> None:
    with serving(lambda _path, _headers: shot(picture(90))) as server:
        camera = watch(f"{server.url}{path}", fps=FPS)
        camera.wait_for_frames(8)
        assert server.hits[path.partition("?")[0]] <= len(camera.seen) + 3
    assert {state.state for state in camera.states} == {"connecting", "live"}


def test_motion_jpeg_stays_with_ffmpeg_whatever_its_address_looks_like(watch: Watch) -> None:
    part = picture(90)
    head = f"--b\r\nContent-Type: image/jpeg\r\nContent-Length: {len(part)}\r\n\r\n".encode()
    body = (head + part + b"\r\n") * 12

    def answer(_path: str, _headers: Mapping[str, str]) -> Answer:
        return Answer(body, "multipart/x-mixed-replace; boundary=b")

    with serving(answer) as server:
        camera = watch(f"{server.url}/video.jpg")
        camera.wait_for_frames(10)
    assert any("Lavf" in headers["user-agent"] for _, headers in server.asked)


def test_server_that_goes_away_is_waited_for(watch: Watch) -> None:
    fails = [False]

    def answer(_path: str, _headers: Mapping[str, str]) -> Answer:
        return Answer(status=503) if fails[0] else shot(picture(90))

    with serving(answer) as server:
        camera = watch(f"{server.url}/snap.jpg", fps=FPS)
        camera.wait_for_frames(2)
        fails[0] = True
        down = camera.first("down")
        assert (down.reason, down.text) == ("rejected", "the server answers 503 Service Unavailable")
        fails[0] = False
        camera.first("live", after=camera.states.index(down))
