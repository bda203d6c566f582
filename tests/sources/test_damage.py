"""Lost packets and lost pictures: nothing that is smeared is published, and what is dropped is counted."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, cast

import av
import numpy as np
import pytest
from tests.sources.odd_camera import OddCamera, serving
from tests.sources.pictures import Encoding, encode
from tests.sources.watched import WatchedCamera

from framelane.demo.rtsp.packets import load_clip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from framelane.core.frames import Frame

    Luma = NDArray[np.uint8]

FPS, FRAMES, GOP = 50, 100, 25
WIDTH, HEIGHT = 416, 240
FAIR_DB = 25.0
ENCODINGS = {
    "h264": Encoding(
        "libx264", options={"preset": "veryfast", "qp": "22", "g": str(GOP), "bf": "2"}, fps=FPS
    ),
    "hevc": Encoding(
        "libx265",
        options={
            "preset": "ultrafast",
            "x265-params": f"log-level=none:pools=1:qp=22:keyint={GOP}:bframes=2",
        },
        fps=FPS,
    ),
    # Refreshes its pictures bit by bit; recovery points say from where on, and how long it takes.
    "refresh": Encoding(
        "libx264",
        options={"preset": "veryfast", "qp": "22", "x264-params": f"intra-refresh=1:keyint={GOP}:bframes=0"},
        fps=FPS,
    ),
}


def moving_texture() -> Iterator[av.VideoFrame]:
    """A coarse pattern that moves, so that a picture decoded upon the wrong one looks wrong."""
    rng = np.random.default_rng(5)
    coarse = rng.integers(16, 235, (HEIGHT // 8 * 3, WIDTH // 8 * 3), np.uint8)
    large = np.kron(coarse, np.ones((8, 8), np.uint8))
    for number in range(FRAMES):
        top, left = (3 * number) % (2 * HEIGHT), (5 * number) % (2 * WIDTH)
        planes = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
        planes[:HEIGHT] = large[top : top + HEIGHT, left : left + WIDTH]
        yield av.VideoFrame.from_ndarray(planes, format="yuv420p")


def luma(picture: Any) -> Luma:
    return cast("Luma", picture.to_ndarray(format="gray"))


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("moving")
    return {
        name: encode(folder / f"{name}.mp4", encoding, moving_texture())
        for name, encoding in ENCODINGS.items()
    }


class Viewer(WatchedCamera):
    """Keeps what it is shown, by the time that the camera gave it."""

    def __init__(self, url: str, **options: Any) -> None:
        self.shown: list[tuple[float, Luma]] = []
        super().__init__(url, **options)

    def offer(self, frame: Frame, *, wait: bool = False) -> None:
        self.shown.append((frame.info.pts_s, luma(frame.picture)))
        super().offer(frame, wait=wait)


def psnr_db(one: Luma, other: Luma) -> float:
    error = float(np.mean((one.astype(np.int16) - other) ** 2))
    return 99.0 if error == 0 else 10 * float(np.log10(255**2 / error))


def watched(path: Path, loses: Callable[[int, int], bool], seconds: float, **options: object) -> Viewer:
    """What has been shown of a camera that loses some of its packets, once it has sent for so long."""
    shown = [
        unit.frame for unit in load_clip(path).units
    ]  # B-frames are sent after those that they are shown before

    def stamp(number: int, _at_s: float) -> float:
        rounds, index = divmod(number, FRAMES)
        return 100 + (rounds * FRAMES + shown[index]) / FPS

    camera = OddCamera(path, steps=(1 / FPS,), stamp=stamp, loses=loses)
    with serving(camera) as server:
        viewer = Viewer(server.url("cam"), late_ms=60_000, **options)
        viewer.worker.start()
        try:
            viewer.wait_for(lambda: viewer.received >= seconds * FPS, "pictures")
        finally:
            assert viewer.worker.stop(20)
    return viewer


def worst_db(viewer: Viewer, path: Path, begin: int = 0) -> float:
    """How far the worst of the shown pictures is from the one that it should be; the first is number `begin`."""
    with av.open(str(path)) as container:
        truth = [luma(frame) for frame in container.decode(video=0)]
    first_s = viewer.shown[0][0]
    found = [
        psnr_db(picture, truth[(begin + round((pts_s - first_s) * FPS)) % FRAMES])
        for pts_s, picture in viewer.shown
    ]
    return min(found)


def at_random(share: float) -> Callable[[int, int], bool]:
    """Packets are lost independently; none of the first pictures, so that all begin with the same one."""
    rng = random.Random(11)
    return lambda number, _packet: rng.random() < share and number >= GOP


def whole_pictures(number: int, _packet: int) -> bool:
    """Each time another place in the group of pictures."""
    return number >= GOP and number % 31 == 7


READERS = [("h264", "auto"), ("hevc", "auto"), ("refresh", "auto"), ("h264", "ffmpeg"), ("refresh", "ffmpeg")]


@pytest.mark.parametrize(("kind", "reader"), READERS)
@pytest.mark.parametrize(
    "loses",
    [
        pytest.param(lambda: at_random(0.001), id="0.1 % of the packets"),
        pytest.param(lambda: at_random(0.01), id="1 % of the packets"),
        pytest.param(lambda: whole_pictures, id="whole pictures"),
    ],
)
def test_nothing_smeared_is_shown_when_packets_are_lost(
    moving: dict[str, Path], kind: str, reader: str, loses: Callable[[], Callable[[int, int], bool]]
) -> None:
    viewer = watched(moving[kind], loses(), 6.0, reader=reader)
    assert worst_db(viewer, moving[kind]) >= FAIR_DB
    assert len(viewer.shown) > 6.0 * FPS / 8
    lost = viewer.received - viewer.meter.snapshot().decoded  # but for what was still on its way
    assert viewer.dropped["damaged"] + viewer.dropped["decode"] == pytest.approx(lost, abs=6)


@pytest.mark.parametrize("reader", ["auto", "ffmpeg"])
def test_everything_is_shown_when_nothing_is_lost(moving: dict[str, Path], reader: str) -> None:
    viewer = watched(moving["h264"], lambda _number, _packet: False, 2.0, reader=reader)
    assert worst_db(viewer, moving["h264"]) == 99.0
    assert viewer.dropped["damaged"] == viewer.dropped["decode"] == 0


@pytest.mark.parametrize("reader", ["auto", "ffmpeg"])
def test_damaged_pictures_are_shown_when_they_are_to_be_kept(moving: dict[str, Path], reader: str) -> None:
    viewer = watched(moving["h264"], whole_pictures, 3.0, reader=reader, damaged="keep")
    assert worst_db(viewer, moving["h264"]) < FAIR_DB
    assert viewer.dropped["damaged"] == 0


def test_the_state_says_that_pictures_are_damaged(moving: dict[str, Path]) -> None:
    viewer = watched(moving["h264"], whole_pictures, 3.0)
    damaged = [state for state in viewer.states if state.reason == "damaged"]
    assert {state.state for state in damaged} == {"live"}
    assert "pictures are damaged or missing" in damaged[0].text
