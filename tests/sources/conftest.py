"""Clips, one RTSP server with a camera for every fault, and watched cameras that end with their test."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.neighbours.certificates import Makings, make_certificates
from tests.neighbours.clips import ClipShape, draw_clip
from tests.sources.pictures import X264, X265, Encoding, encode, gradients, numbered
from tests.sources.watched import WatchedCamera

from framelane.demo.rtsp import CameraSpec, RtspServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Watch = Callable[..., WatchedCamera]

PASSWORD = "open/sesame#ali"
SMALL = ClipShape(frames=50, fps=50)
WIDE = ClipShape(352, 208, frames=25, fps=50)
NO_DECODER = "".join(
    f"{line}\r\n"
    for line in (
        "v=0",
        "o=- 0 0 IN IP4 127.0.0.1",
        "s=exotic",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        "a=control:*",
        "m=video 0 RTP/AVP 96",
        "a=rtpmap:96 EXOTIC/90000",
        "a=control:trackID=0",
    )
)
# Names of cameras that a test alone may let misbehave.
STEERED = ("stall", "restart", "recode", "resize", "noise", "silent", "damaged")
EARLY = ("h264", "slices", "large-slices", "hevc", "large-hevc", "mjpeg")


@dataclass(frozen=True)
class Clips:
    """Files by kind, and which frame of a kind some pixels are."""

    paths: dict[str, Path]

    def numbers(self, kind: str) -> dict[bytes, int]:
        """Frame numbers by pixels."""
        return numbered(self.paths[kind])


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    folder = tmp_path_factory.mktemp("clips")
    paths = {kind: draw_clip(folder, kind, SMALL) for kind in ("h264", "h264-bframes", "hevc", "mjpeg")}
    paths["wide"] = draw_clip(folder, "h264", WIDE)
    encodings = {
        "slices": (Encoding("libx264", options={**X264, "slices": "4"}, fps=50), SMALL),
        "large-slices": (
            Encoding("libx264", options={**X264, "slices": "4", "qp": "8"}, fps=50),
            ClipShape(640, 352, 50, 50),
        ),
        "large-hevc": (
            Encoding("libx265", options={**X265, "crf": "8"}, fps=50),
            ClipShape(640, 352, 50, 50),
        ),
        "h264-10bit": (Encoding("libx264", "yuv420p10le", X264, fps=50), SMALL),
        "hevc-10bit": (Encoding("libx265", "yuv420p10le", X265, fps=50), SMALL),
        "odd": (Encoding("libx264", "yuv444p", X264, fps=50), ClipShape(321, 241, 50, 50)),
    }
    for kind, (encoding, shape) in encodings.items():
        paths[kind] = encode(folder / f"{kind}.mp4", encoding, gradients(shape))
    return Clips(paths)


@pytest.fixture(scope="session")
def makings(tmp_path_factory: pytest.TempPathFactory) -> Makings:
    """Certificates."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def server(clips: Clips) -> Iterator[RtspServer]:
    """Cameras named after their clips start in mid-GOP; the others belong to one test each."""
    specs = [CameraSpec(kind, path, phase_s=0.3) for kind, path in clips.paths.items()]
    specs += [CameraSpec(name, clips.paths["h264"]) for name in STEERED]
    specs += [CameraSpec(f"early-{kind}", clips.paths[kind]) for kind in EARLY]
    specs += [
        CameraSpec("in-band", clips.paths["h264"], sprop=False),
        CameraSpec("basic", clips.paths["h264"], "admin", PASSWORD, auth="basic"),
        CameraSpec("digest", clips.paths["h264"], "admin", PASSWORD),
        CameraSpec("exotic", clips.paths["h264"], sdp=NO_DECODER),
    ]
    with RtspServer(specs) as running:
        yield running


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Starts a watched camera on a URL; it ends with the test."""
    with ExitStack() as stack:

        def start(url: str, **options: Any) -> WatchedCamera:
            camera = WatchedCamera(url, **options)
            camera.worker.start()
            stack.callback(stop_all, [camera])
            return camera

        yield start


def stop_all(cameras: list[WatchedCamera]) -> None:
    """End them at once, not one after the other."""
    for camera in cameras:
        camera.worker.stopping.set()
    deadline_s = time.monotonic() + 20
    for camera in cameras:
        assert camera.worker.stop(max(deadline_s - time.monotonic(), 0))
