"""Pictures on a real GPU: NVDEC's are the CPU decoder's, and the kernel makes the CPU path's pixels of both."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from av.codec.hwaccel import HWAccel
from tests.gpu.device.here import needs_gpu, needs_nvdec
from tests.inference.backends.cuda.test_preprocess import FORMATS, ROUNDING, picture

from framelane.gpu.memory import DeviceBuffer, PinnedBuffer
from framelane.gpu.module import Kernels
from framelane.gpu.stream import Event, Stream
from framelane.inference.backends.cuda.image_table import ImageTable
from framelane.inference.backends.cuda.kernels import ptx
from framelane.inference.backends.cuda.preprocess import launch_preprocess
from framelane.inference.backends.cuda.surface import surface_format
from framelane.models.input.letterbox import Crop
from framelane.models.input.preprocess import Preprocessor
from framelane.models.input.spec import InputSpec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from framelane.gpu.device import Device

    Array = NDArray[Any]

pytestmark = [pytest.mark.gpu, needs_gpu, needs_nvdec]

ULTRALYTICS = InputSpec(640, 640, "rgb", 1 / 255, "center")
YOLOX = InputSpec(416, 416, "bgr", 1.0, "topleft")
HALF = InputSpec(320, 320, "rgb", 1 / 255, "center", dtype="float16")
FRAMES = 12
HELD = 4
CROP = Crop(0.1, 0.2, 0.9, 0.75)


def decoded(path: Path, **options: Any) -> list[av.VideoFrame]:
    """The last few of the first frames: a decoder lacks the surfaces that are held."""
    with av.open(str(path), **options) as container:
        container.streams.video[0].codec_context.thread_count = 1
        frames = deque(islice(container.decode(video=0), FRAMES), HELD)
    assert len(frames) == HELD
    return list(frames)


def nvdec() -> Any:
    options: dict[str, object] = {"primary_ctx": "1"}
    return HWAccel("cuda", device="0", is_hw_owned=True, allow_software_fallback=False, options=options)


def brought_down(frame: av.VideoFrame, plane: int, row_bytes: int, rows: int) -> Array:
    """A plane of a picture on the GPU, [rows, row_bytes]."""
    pitch = frame.planes[plane].line_size
    host, stream, decoder_is_done = PinnedBuffer(pitch * rows), Stream(), Event()
    decoder_is_done.record(None)
    stream.wait_for(decoder_is_done)
    stream.copy_out(host.address, frame.planes[plane].buffer_ptr, (rows - 1) * pitch + row_bytes)
    stream.synchronize()
    pixels: Array = host.array.reshape(rows, pitch)[:, :row_bytes].copy()
    for thing in (decoder_is_done, stream, host):
        thing.close()
    return pixels


def through_kernel(
    device: Device, stream: Stream, spec: InputSpec, pictures: Sequence[Any], crops: Sequence[Crop | None]
) -> Array:
    size, kernels = spec.batch_bytes(len(pictures)), Kernels.load(device, ptx())
    table, output, host = ImageTable(spec, len(pictures)), DeviceBuffer(size), PinnedBuffer(size)
    decoder_is_done = Event()
    decoder_is_done.record(None)
    stream.wait_for(decoder_is_done)
    table.fill(pictures, crops)
    table.upload(stream)
    launch_preprocess(kernels, stream, table.address, len(pictures), output.address, spec)
    stream.copy_out(host.address, output.address, size)
    stream.synchronize()
    tensor: Array = host.array.view(spec.dtype).reshape(spec.shape(len(pictures))).copy()
    for thing in (decoder_is_done, table, output, host, kernels):
        thing.close()
    return tensor


def assert_same_pixels(spec: InputSpec, expected: Array, actual: Array) -> None:
    difference = np.abs(actual.astype(np.float64) - expected.astype(np.float64)) / spec.scale
    assert difference.max() <= ROUNDING + 0.13  # half precision: an eighth at 255
    assert (difference > 0.13).mean() < 0.001


@pytest.mark.parametrize("name", ["h264", "hevc", "h264-full"])
def test_nvdec_gives_the_cpu_decoders_samples(device: Device, footage: Path, name: str) -> None:
    on_gpu = decoded(footage / f"{name}.mp4", hwaccel=nvdec())
    on_cpu = decoded(footage / f"{name}.mp4")

    for far, near in zip(on_gpu, on_cpu, strict=True):
        assert far.format.name == "cuda"
        assert surface_format(far, far.planes) == "nv12"
        expected = near.to_ndarray(format="nv12" if near.format.name == "yuv420p" else None)
        luma = brought_down(far, 0, near.width, near.height)
        np.testing.assert_array_equal(luma, expected[: near.height])
        if near.format.name == "yuv420p":
            chroma = brought_down(far, 1, near.width, near.height // 2)
            np.testing.assert_array_equal(chroma, expected[near.height :])


@pytest.mark.parametrize("crop", [None, CROP])
@pytest.mark.parametrize("spec", [ULTRALYTICS, YOLOX, HALF], ids=["ultralytics", "yolox", "half"])
@pytest.mark.parametrize("name", ["h264", "hevc", "hevc10", "h264-full"])
def test_pictures_of_nvdec_become_the_cpu_paths_tensor(
    device: Device, stream: Stream, footage: Path, name: str, spec: InputSpec, crop: Crop | None
) -> None:
    on_gpu = decoded(footage / f"{name}.mp4", hwaccel=nvdec())
    on_cpu = decoded(footage / f"{name}.mp4")
    crops = [crop] * 4

    expected, _ = Preprocessor(spec, 4)(on_cpu, crops)

    assert_same_pixels(spec, expected, through_kernel(device, stream, spec, on_gpu, crops))


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_pictures_of_the_cpu_become_the_cpu_paths_tensor(
    device: Device, stream: Stream, pixel_format: str
) -> None:
    pictures = [picture(pixel_format, size, seed) for seed, size in enumerate([(322, 242), (640, 360)])]
    crops = [None, CROP]

    expected, _ = Preprocessor(ULTRALYTICS, 2)(pictures, crops)

    assert_same_pixels(ULTRALYTICS, expected, through_kernel(device, stream, ULTRALYTICS, pictures, crops))
