"""A decoder that is slow to open, or too slow for what comes: old pictures are skipped, and what is shown is right."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from framelane.sources.decoding.decoder import StreamDecoder

if TYPE_CHECKING:
    import av
    from tests.sources.conftest import Clips, Watch
    from tests.sources.watched import WatchedCamera

    from framelane.demo.rtsp import RtspServer

LATE_S, GOP_S = 0.5, 0.5  # 50 pictures a second, a key frame every 25
SLOW_S = 0.06
OPENING_S = 1.5


class SlowDecoder(StreamDecoder):
    """Takes its time: `opening_s` for the first picture, `each_s` for each."""

    opening_s = 0.0
    each_s = 0.0

    def decode(self, unit: av.Packet[Any] | None) -> list[av.VideoFrame] | None:
        time.sleep(self.opening_s + self.each_s)
        frames = super().decode(unit)
        if frames:
            self.opening_s = 0.0
        return frames


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> type[SlowDecoder]:
    """What decodes all cameras of the test."""

    class Decoder(SlowDecoder):
        pass

    monkeypatch.setattr("framelane.sources.rtsp.source.StreamDecoder", Decoder)
    return Decoder


def ages_s(camera: WatchedCamera, first: int = 0) -> list[float]:
    """How old pictures were when they were decoded; the embedded camera tells when it took them."""
    monotonic_s = time.time() - time.monotonic()
    return [seen.info.received_s + monotonic_s - seen.info.captured_at for seen in camera.seen[first:]]


def test_no_stale_picture_is_offered_when_a_decoder_opens_slowly(
    server: RtspServer, clips: Clips, watch: Watch, decoder: type[SlowDecoder]
) -> None:
    decoder.opening_s = OPENING_S
    camera = watch(server.url("h264"), read_timeout_s=20.0)
    seen = camera.wait_for_frames(30)
    assert max(ages_s(camera)) < OPENING_S
    numbers = [clips.numbers("h264").get(each.pixels) for each in seen]
    assert numbers[0] is not None
    assert numbers[0] % 25 == 0
    assert numbers == [(numbers[0] + step) % 50 for step in range(30)]
    # Of the 1.5 s nearly all is gone: what is younger than half a second goes if no key frame is among it.
    assert camera.dropped["late"] >= 50
    assert camera.dropped["decode"] == 0


def test_overload_costs_pictures_and_no_time_and_ends_when_it_is_over(
    server: RtspServer, clips: Clips, watch: Watch, decoder: type[SlowDecoder]
) -> None:
    truth = clips.numbers("h264")
    camera = watch(server.url("h264"), read_timeout_s=20.0)
    camera.wait_for_frames(10)
    decoder.each_s = SLOW_S
    camera.wait_for(lambda: camera.states[-1].reason == "late", "word of the overload")
    assert camera.states[-1].text == (
        "frames arrive; pictures are skipped to stay on time: more comes in than this host decodes"
    )
    first = len(camera.seen)
    camera.wait_for_frames(first + 30)
    assert max(ages_s(camera, first)) < LATE_S + GOP_S
    assert camera.dropped["late"] > 0
    decoder.each_s = 0.0
    quick_s = time.monotonic()
    camera.wait_for(lambda: camera.states[-1].reason == "ok", "end of the overload")
    assert time.monotonic() - quick_s < 6.0
    dropped = camera.dropped["late"]
    seen = len(camera.seen)
    assert max(ages_s(camera, len(camera.wait_for_frames(seen + 25)) - 25)) < LATE_S
    assert camera.dropped["late"] == dropped
    assert {each.pixels for each in camera.seen} <= set(truth)
    assert (camera.states[-1].state, camera.dropped["decode"]) == ("live", 0)
    assert {state.state for state in camera.states} == {"connecting", "live"}


def test_overload_of_one_camera_costs_another_nothing(
    server: RtspServer, clips: Clips, watch: Watch, decoder: type[SlowDecoder]
) -> None:
    """Threads that wait in a slow decoder are as many as there are cores; one stream takes one of them at most."""
    pause = threading.Event()

    def decode(self: SlowDecoder, unit: av.Packet[Any] | None) -> list[av.VideoFrame] | None:
        if self._cpu.name == "hevc":
            pause.wait(SLOW_S)
        return StreamDecoder.decode(self, unit)

    decoder.decode = decode  # type: ignore[method-assign] # a test's own class
    quick = watch(server.url("h264"), read_timeout_s=20.0)
    slow = watch(server.url("hevc"), read_timeout_s=20.0, beside=quick)
    quick.wait_for_frames(10)
    slow.wait_for(lambda: slow.states[-1].reason == "late", "overload")
    first = len(quick.seen)
    quick.wait_for_frames(first + 50)
    pause.set()
    assert quick.dropped["late"] == 0
    assert quick.states[-1].reason == "ok"
