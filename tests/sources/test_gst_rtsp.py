"""GStreamer's RTSP server, read by our own reader: by UDP, within TLS, and with each login."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.neighbours.rtsp_servers import NeighbourMissingError, Show, gst

if TYPE_CHECKING:
    from tests.neighbours.certificates import Makings
    from tests.neighbours.rtsp_servers import Auth
    from tests.sources.conftest import Clips, Watch

FRAMES = 45
"""Of the clip's 50: each connection plays it once."""
NATIVE = {"reader": "native", "read_timeout_s": 10.0, "open_timeout_s": 20.0, "late_ms": 60_000}
CODECS = {"h264": "h264", "slices": "h264", "hevc": "hevc"}


@pytest.fixture(scope="module")
def pem(makings: Makings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate in one file."""
    both = tmp_path_factory.mktemp("gst") / "good.pem"
    both.write_bytes(
        Path(makings.file("good.key")).read_bytes() + Path(makings.file("good.crt")).read_bytes()
    )
    return both


def check(clips: Clips, watch: Watch, kind: str, show: Show, **options: object) -> None:
    """The clip's own frames come, none is missing; a wrong password is refused."""
    truth = clips.numbers(kind)
    try:
        with gst(show) as running:
            camera = watch(running.url, **NATIVE, **options)
            numbers = [truth.get(seen.pixels) for seen in camera.wait_for_frames(FRAMES)]
            if show.auth != "none":
                refused = watch(running.url.replace("admin:", "admin:no"), **NATIVE, **options)
                assert refused.first("down").reason == "unauthorized"
    except NeighbourMissingError as error:
        pytest.skip(str(error))
    assert None not in numbers
    assert {after - before for before, after in pairwise(n for n in numbers if n is not None)} == {1}
    assert (camera.dropped["decode"], camera.dropped["damaged"]) == (0, 0)


@pytest.mark.parametrize("kind", CODECS)
def test_pictures_come_by_udp(clips: Clips, watch: Watch, kind: str) -> None:
    check(clips, watch, kind, Show(clips.paths[kind], CODECS[kind]), transport="udp")


@pytest.mark.parametrize("auth", ["basic", "digest"])
def test_pictures_come_by_udp_to_who_logs_in(clips: Clips, watch: Watch, auth: Auth) -> None:
    check(clips, watch, "h264", Show(clips.paths["h264"], "h264", auth), transport="udp")


@pytest.mark.parametrize("auth", ["none", "digest"])
def test_pictures_come_within_tls(
    clips: Clips, watch: Watch, makings: Makings, pem: Path, auth: Auth
) -> None:
    show = Show(clips.paths["h264"], "h264", auth, pem=pem)
    check(clips, watch, "h264", show, tls={"verify": True, "ca_file": makings.file("ca.crt")})


def test_the_end_of_the_clip_is_told(clips: Clips, watch: Watch) -> None:
    try:
        with gst(Show(clips.paths["h264"], "h264")) as running:
            down = watch(running.url, **NATIVE, transport="udp").first("down")
    except NeighbourMissingError as error:
        pytest.skip(str(error))
    assert (down.reason, down.text) == ("lost", "the camera says that its stream has ended")
