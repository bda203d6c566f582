"""The preprocess kernel, run on the CPU, makes the pixels that the CPU path makes: all formats, sizes and colors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from tests.gpu.shim.grid import GridOnCpu
from tests.gpu.shim.host import HostBuffer, HostStream

from framelane.inference.backends.cuda import image_table as pictures_module
from framelane.inference.backends.cuda.image_table import ImageTable
from framelane.inference.backends.cuda.preprocess import launch_preprocess
from framelane.models.input.letterbox import Crop
from framelane.models.input.pixel_formats import LAYOUTS
from framelane.models.input.preprocess import Preprocessor
from framelane.models.input.spec import InputSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

SHARED = Path(__file__).parents[5] / "shared"
RUBBISH = 0xA5
# Where pixels end that fill no SIMD register OpenCV takes another, equally good rounding of the color matrix.
ROUNDING = 1


@pytest.fixture(scope="module")
def grid() -> GridOnCpu:
    return GridOnCpu("preprocess.cu")


@pytest.fixture(autouse=True)
def host_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(pictures_module, "DeviceBuffer", HostBuffer)
    monkeypatch.setattr(pictures_module, "PinnedBuffer", HostBuffer)
    before = HostBuffer.open_now
    yield
    assert HostBuffer.open_now == before


@dataclass
class PlaneOnGpu:
    """A plane of a picture that NVDEC left on the GPU."""

    buffer_ptr: int
    line_size: int
    exported: Any

    def __dlpack__(self) -> Any:
        return self.exported.__dlpack__()


class PictureOnGpu:
    """What PyAV gives for such a picture, its planes at addresses of the host; pitches as wide as NVDEC's."""

    def __init__(self, frame: av.VideoFrame, pitch_step: int = 256) -> None:
        self.format = type("Format", (), {"name": "cuda"})()
        self.sw_format = frame.format
        self.width, self.height = frame.width, frame.height
        self.colorspace, self.color_range = frame.colorspace, frame.color_range
        self._memory = []
        self.planes = []
        for plane in frame.planes:
            pitch = -(-plane.line_size // pitch_step) * pitch_step
            memory = np.full((plane.height, pitch), RUBBISH, np.uint8)
            memory[:, : plane.line_size] = np.frombuffer(memoryview(plane), np.uint8).reshape(
                -1, plane.line_size
            )
            self._memory.append(memory)
            self.planes.append(PlaneOnGpu(int(memory.ctypes.data), pitch, plane))


def picture(pixel_format: str, size_wh: tuple[int, int], seed: int, **color: int) -> av.VideoFrame:
    """Noise: every bit of every sample counts. 10 bits of a low-aligned 10-bit format, the high ones of P010."""
    rng = np.random.default_rng(seed)
    frame = av.VideoFrame(*size_wh, pixel_format)
    for plane in frame.planes:
        target = np.frombuffer(memoryview(plane), np.uint8)
        target[:] = rng.integers(0, 256, len(target), np.uint8)
        words = target.view(np.uint16) if "10le" in pixel_format or "12le" in pixel_format else None
        if words is not None and pixel_format.startswith("p"):
            words &= 0xFFC0
        elif words is not None:
            words &= 1023 if "10le" in pixel_format else 4095
    frame.colorspace, frame.color_range = color.get("colorspace", 1), color.get("color_range", 1)
    return frame


def through_kernel(
    grid: GridOnCpu, spec: InputSpec, pictures: Sequence[Any], crops: Sequence[Crop | None] = ()
) -> tuple[Array, list[Any]]:
    """The tensor that the kernel makes of a batch, and the letterboxes."""
    table = ImageTable(spec, len(pictures))
    output = HostBuffer(spec.batch_bytes(len(pictures)) + 256)
    stream = HostStream()
    try:
        boxes = table.fill(pictures, crops)
        table.upload(stream)  # type: ignore[arg-type]
        launch_preprocess(grid, stream, table.address, len(pictures), output.address, spec)
        size = spec.batch_bytes(len(pictures))
        assert (output.array[size:] == RUBBISH).all(), "written past the end"
        return output.array[:size].view(spec.dtype).reshape(spec.shape(len(pictures))).copy(), boxes
    finally:
        output.close()
        table.close()


def compare(
    grid: GridOnCpu, spec: InputSpec, pictures: Sequence[Any], crops: Sequence[Crop | None] = ()
) -> float:
    """Check the kernel's tensor against the CPU path's; returns the share of elements that are equal to the bit."""
    expected, expected_boxes = Preprocessor(spec, len(pictures))(pictures, crops)
    for given in (pictures, [PictureOnGpu(each) if on_gpu(each) else each for each in pictures]):
        actual, boxes = through_kernel(grid, spec, given, crops)
        assert boxes == expected_boxes
        factors = spec.factors.astype(np.float64)[:, None, None]
        difference = np.abs(actual.astype(np.float64) - expected.astype(np.float64)) / factors
        assert difference.max() <= ROUNDING + 0.13  # half precision: an eighth at 255
    return float((actual == expected).mean())


def on_gpu(frame: av.VideoFrame) -> bool:
    return frame.format.name in LAYOUTS


ULTRALYTICS = InputSpec(160, 128, "rgb", 1 / 255, "center")
YOLOX = InputSpec(160, 128, "bgr", 1.0, "topleft")
FORMATS = [
    name for name in LAYOUTS if name not in {"gray8", "p012le", "p016le", "p210le", "yuv444p16le", "nv16"}
]


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
@pytest.mark.parametrize("pixel_format", [*FORMATS, "rgb24", "bgra", "yuyv422", "yuv420p10be", "pal8"])
def test_pixels_are_the_cpu_paths_in_every_format(grid: GridOnCpu, pixel_format: str, dtype: Any) -> None:
    frames = [
        picture(pixel_format, size_wh, seed)
        for seed, size_wh in enumerate([(320, 256), (322, 182), (96, 250)])
    ]
    spec = replace(YOLOX if dtype == "uint8" else ULTRALYTICS, dtype=dtype)
    assert compare(grid, spec, frames) > 0.999


@pytest.mark.parametrize("color", ["rgb", "bgr"])
@pytest.mark.parametrize("color_range", [0, 1, 2])
@pytest.mark.parametrize("colorspace", [0, 1, 2, 4, 5, 6, 7, 9, 10])
def test_pixels_are_the_cpu_paths_in_every_color_space(
    grid: GridOnCpu, colorspace: int, color_range: int, color: Any
) -> None:
    frames = [
        picture("nv12", (1280, height), 1, colorspace=colorspace, color_range=color_range)
        for height in (576, 720)
    ]
    assert compare(grid, replace(ULTRALYTICS, color=color), frames) > 0.999


@pytest.mark.parametrize("seed", range(60))
def test_pixels_are_the_cpu_paths_at_any_size(grid: GridOnCpu, seed: int) -> None:
    """Odd, tiny, huge, upscaled, cropped; any input size; several kinds in a batch."""
    rng = np.random.default_rng(1000 + seed)
    spec = InputSpec(
        int(rng.integers(32, 200)) if seed % 3 else 160,
        int(rng.integers(32, 200)),
        ["rgb", "bgr"][seed % 2],  # type: ignore[arg-type]
        [1.0, 1 / 255][seed // 2 % 2],
        ["center", "topleft", "stretch"][seed // 4 % 3],  # type: ignore[arg-type]
        dtype=["float32", "float16"][seed // 8 % 2],  # type: ignore[arg-type]
    )
    count = int(rng.integers(1, 4))
    frames, crops = [], []
    for _ in range(count):
        most = int(rng.choice([8, 64, 400, 1500]))
        size_wh = int(rng.integers(1, most)), int(rng.integers(1, most))
        name = str(
            rng.choice(["nv12", "yuv420p", "yuv422p", "yuv444p", "gray", "p010le", "yuv420p10le", "nv21"])
        )
        frames.append(picture(name, size_wh, seed, color_range=int(rng.integers(0, 3))))
        left, top = rng.uniform(0, 0.9, 2)
        right, bottom = left + rng.uniform(0.01, 1 - left), top + rng.uniform(0.01, 1 - top)
        crops.append(Crop(left, top, right, bottom) if rng.random() < 0.5 else None)
    assert compare(grid, spec, frames, crops) > 0.99


@pytest.mark.parametrize("placement", ["center", "stretch"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_mean_and_deviation_of_each_channel_are_the_cpu_paths(
    grid: GridOnCpu, dtype: Any, placement: Any
) -> None:
    spec = replace(
        ULTRALYTICS, dtype=dtype, placement=placement, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
    )
    frames = [picture("nv12", (320, 182), 1), picture("rgb24", (96, 250), 2)]
    assert compare(grid, spec, frames) > 0.999


def test_a_table_is_used_again_when_batches_change(grid: GridOnCpu) -> None:
    table = ImageTable(ULTRALYTICS, 3)
    stream = HostStream()
    output = HostBuffer(InputSpec(160, 128, "rgb", 1 / 255, "center").batch_bytes(3))
    address = table.address
    batches = [
        ["nv12"],
        ["yuv420p", "nv12", "gray"],
        ["rgb24"],
        ["nv12", "nv12"],
        ["yuv444p", "yuv444p", "yuv444p"],
    ]
    for seed, names in enumerate(batches):
        frames = [picture(name, (100 + 400 * seed, 90), seed) for name in names]
        given = [PictureOnGpu(frame) if frame.format.name == "nv12" else frame for frame in frames]
        table.fill(given)  # type: ignore[arg-type]
        table.upload(stream)  # type: ignore[arg-type]
        launch_preprocess(grid, stream, table.address, len(names), output.address,
                          InputSpec(160, 128, "rgb", 1 / 255, "center"))  # fmt: skip
        expected, _ = Preprocessor(ULTRALYTICS, 3)(frames)
        actual = output.array.view(np.float32).reshape(3, 3, 128, 160)[: len(names)]
        assert np.abs(actual - expected.astype(np.float32)).max() * 255 <= ROUNDING + 1e-3
        assert table.address == address
    output.close()
    table.close()


def test_pixels_are_the_cpu_paths_when_pyav_says_no_format_of_the_gpu(grid: GridOnCpu) -> None:
    frames = [picture(name, (320, 256), 5) for name in ("nv12", "p010le")]
    given = [PictureOnGpu(frame) for frame in frames]
    for each in given:
        del each.sw_format
    actual, _ = through_kernel(grid, ULTRALYTICS, given)
    expected, _ = Preprocessor(ULTRALYTICS, 2)(frames)
    assert np.abs(actual - expected.astype(np.float32)).max() * 255 <= ROUNDING


def test_pictures_on_the_gpu_send_up_nothing_but_rows() -> None:
    table = ImageTable(ULTRALYTICS, 2)
    stream = HostStream()
    table.fill([PictureOnGpu(picture("nv12", (320, 240), seed)) for seed in range(2)])  # type: ignore[misc]
    table.upload(stream)  # type: ignore[arg-type]
    assert len(stream.copies) == 1
    table.fill([picture("nv12", (320, 240), 0)])
    table.upload(stream)  # type: ignore[arg-type]
    assert len(stream.copies) == 3
    table.close()


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="no footage in ../shared")
def test_real_footage_has_the_cpu_paths_pixels(grid: GridOnCpu) -> None:
    files = sorted([*(SHARED / "videos").glob("*.mp4"), *(SHARED / "images").rglob("*.jpg")])[:8]
    frames = []
    for file in files:
        with av.open(str(file)) as container:
            frames.append(next(container.decode(video=0)))
    assert compare(grid, InputSpec(416, 416, "bgr", 1.0, "topleft"), frames) > 0.999
