"""Pixels as the model gets them: right colors from every pixel format, and the same picture as plain OpenCV makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import av
import cv2
import numpy as np
import pytest
from tests.models.input.test_color import RGB_75
from tests.sources.pictures import X264, X265, Encoding, encode

from framelane.models.input.letterbox import Crop
from framelane.models.input.preprocess import Preprocessor
from framelane.models.input.spec import InputSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from framelane.models.input.letterbox import SizeWH

    Array = NDArray[Any]

BT709, BT601, UNSPECIFIED = 1, 6, 2
LIMITED, FULL = 1, 2
BAR, BARS_WH = 16, (128, 48)
PLANAR = ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p10le", "nv12", "nv21", "yuyv422", "p010le")


def spec(size_wh: SizeWH = BARS_WH, **options: Any) -> InputSpec:
    return InputSpec(**{"width": size_wh[0], "height": size_wh[1], "color": "rgb", "scale": 1.0,
                        "placement": "topleft", **options})  # fmt: skip


def rgb_bars(size_wh: SizeWH = BARS_WH) -> Array:
    """Eight bars of 75 % color."""
    row = np.repeat(np.array(RGB_75, np.uint8), size_wh[0] // 8, axis=0)
    return np.broadcast_to(row, (size_wh[1], *row.shape)).copy()


def yuv_bars(weights: tuple[float, float], *, full: bool) -> Array:
    """The bars as real-valued Y, Cb, Cr on the 8-bit scale, after ITU-T H.273 equations 24 to 36."""
    red, blue = weights
    rgb = rgb_bars().astype(np.float64) / 255
    y = rgb @ np.array([red, 1 - red - blue, blue])
    cb, cr = (rgb[..., 2] - y) / (2 * (1 - blue)), (rgb[..., 0] - y) / (2 * (1 - red))
    if full:
        return np.stack([255 * y, 255 * cb + 128, 255 * cr + 128], axis=-1)
    return np.stack([219 * y + 16, 224 * cb + 128, 224 * cr + 128], axis=-1)


def frame_of(yuv: Array, pixel_format: str, colorspace: int, color_range: int) -> av.VideoFrame:
    """A frame in a pixel format, its planes written here rather than converted by FFmpeg."""
    height, width = yuv.shape[:2]
    frame = av.VideoFrame(width, height, pixel_format)
    chroma = yuv[:, ::2] if "444" not in pixel_format else yuv
    if pixel_format in {"yuv420p", "yuvj420p", "yuv420p10le", "nv12", "nv21", "p010le"}:
        chroma = chroma[::2]
    y, u, v = yuv[..., 0], chroma[..., 1], chroma[..., 2]
    planes = [y, u, v]
    if pixel_format in {"nv12", "p010le"}:
        planes = [y, np.stack([u, v], -1)]
    elif pixel_format == "nv21":
        planes = [y, np.stack([v, u], -1)]
    elif pixel_format == "yuyv422":
        planes = [np.stack([y[:, ::2], u, y[:, 1::2], v], -1)]
    elif pixel_format == "gray":
        planes = [y]
    for plane, values in zip(frame.planes, planes, strict=True):
        write(plane, values.reshape(values.shape[0], -1), pixel_format, full=color_range == FULL)
    frame.colorspace, frame.color_range = colorspace, color_range
    return frame


def write(plane: Any, lines: Array, pixel_format: str, *, full: bool) -> None:
    dtype: type[Any] = np.uint16 if "10" in pixel_format else np.uint8
    if dtype is np.uint16:
        lines = lines * (1023 / 255 if full else 4)
    codes = np.ascontiguousarray(np.rint(lines), dtype)
    if pixel_format == "p010le":
        codes = codes << 6
    target = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    target[: codes.shape[0], : codes.shape[1] * codes.itemsize] = codes.view(np.uint8)


def middles(tensor: Array) -> Array:
    """The color in the middle of each bar, [8, 3]: beside an edge the chroma of two bars mixes."""
    width = tensor.shape[-1]
    columns = [round(width * (2 * bar + 1) / 16) for bar in range(8)]
    middle = tensor.shape[-2] // 2
    result: Array = tensor[0][:, middle, columns].T
    return result


@pytest.mark.parametrize("color", ["rgb", "bgr"])
@pytest.mark.parametrize("pixel_format", [*PLANAR, "yuvj420p", "yuvj422p", "yuvj444p"])
@pytest.mark.parametrize(("colorspace", "weights"), [(BT601, (0.299, 0.114)), (BT709, (0.2126, 0.0722))])
@pytest.mark.parametrize("color_range", [LIMITED, FULL])
def test_bars_have_their_colors_in_every_format(
    pixel_format: str,
    colorspace: int,
    weights: tuple[float, float],
    color_range: int,
    color: Literal["rgb", "bgr"],
) -> None:
    full = color_range == FULL or pixel_format.startswith("yuvj")
    frame = frame_of(yuv_bars(weights, full=full), pixel_format, colorspace, FULL if full else LIMITED)
    tensor, _ = Preprocessor(spec(color=color), 1)([frame])
    expected = np.array(RGB_75)[:, :: 1 if color == "rgb" else -1]
    np.testing.assert_allclose(middles(tensor), expected, atol=4)


@pytest.mark.parametrize("color_range", [LIMITED, FULL])
def test_grey_stays_grey(color_range: int) -> None:
    full = color_range == FULL
    frame = frame_of(yuv_bars((0.299, 0.114), full=full), "gray", UNSPECIFIED, color_range)
    tensor, _ = Preprocessor(spec(), 1)([frame])
    luma = np.array(RGB_75) @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(middles(tensor), np.repeat(luma[:, None], 3, axis=1), atol=2)


@pytest.mark.parametrize("pixel_format", ["rgb24", "bgr24", "rgba", "bgra", "gbrp"])
@pytest.mark.parametrize("size_wh", [(128, 48), (1280, 720)], ids=["small", "hd"])
def test_bars_have_their_colors_when_the_picture_is_rgb(pixel_format: str, size_wh: SizeWH) -> None:
    """Images of a folder: HD ones too, though HD video means another matrix."""
    frame = av.VideoFrame.from_ndarray(rgb_bars(size_wh), format="rgb24").reformat(format=pixel_format)
    tensor, _ = Preprocessor(spec(size_wh), 1)([frame])
    np.testing.assert_allclose(middles(tensor), RGB_75, atol=4)


CODED = {
    "h264 601": Encoding("libx264", "yuv420p", X264, colorspace=BT601, color_range=LIMITED),
    "h264 709": Encoding("libx264", "yuv420p", X264, colorspace=BT709, color_range=LIMITED),
    "h264 709 full": Encoding("libx264", "yuvj420p", X264, colorspace=BT709, color_range=FULL),
    "h264 10 bit": Encoding("libx264", "yuv420p10le", X264, colorspace=BT709, color_range=LIMITED),
    "h264 4:4:4": Encoding("libx264", "yuv444p", X264, colorspace=BT601, color_range=LIMITED),
    "hevc 709": Encoding("libx265", "yuv420p", X265, colorspace=BT709, color_range=LIMITED),
    "hevc 10 bit full": Encoding("libx265", "yuv420p10le", X265, colorspace=BT709, color_range=FULL),
    "mjpeg": Encoding("mjpeg", "yuvj420p", {"qmin": "1", "qmax": "2"}, colorspace=5, color_range=FULL),
    "png": Encoding("png", "rgb24"),
}
WEIGHTS = {BT601: (0.299, 0.114), 5: (0.299, 0.114), BT709: (0.2126, 0.0722)}


@pytest.mark.parametrize("encoding", CODED.values(), ids=CODED.keys())
def test_bars_have_their_colors_when_the_stream_says_what_it_is(tmp_path: Path, encoding: Encoding) -> None:
    if encoding.colorspace is None or encoding.color_range is None:
        frame = av.VideoFrame.from_ndarray(rgb_bars(), format="rgb24")
    else:
        full = encoding.color_range == FULL
        bars = yuv_bars(WEIGHTS[encoding.colorspace], full=full)
        frame = frame_of(bars, encoding.pixel_format, encoding.colorspace, encoding.color_range)
    path = encode(tmp_path / ("bars.png" if encoding.codec == "png" else "bars.mkv"), encoding, [frame])
    with av.open(str(path)) as source:
        decoded = next(source.decode(video=0))
    tensor, _ = Preprocessor(spec(), 1)([decoded])
    np.testing.assert_allclose(middles(tensor), RGB_75, atol=5)


def scene(size_wh: SizeWH, seed: int = 0) -> Array:
    """Something like a photo: soft shapes, edges and a little noise, BGR."""
    width, height = size_wh
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(0, 255, (6, 8, 3), np.uint8), size_wh, interpolation=cv2.INTER_CUBIC)
    for _ in range(6):
        corner = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(image, corner, max(width, height) // 8, rng.integers(0, 255, 3).tolist(), -1)
    return cv2.GaussianBlur(image, (7, 7), 0)


def video_frame(bgr: Array, pixel_format: str = "yuv420p") -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(bgr, format="bgr24").reformat(
        format=pixel_format, dst_colorspace=BT709, dst_color_range=LIMITED
    )
    frame.colorspace, frame.color_range = BT709, LIMITED
    return frame


def reference(bgr: Array, wanted: InputSpec) -> Array:
    """Letterbox by plain OpenCV, from the picture before it became YUV."""
    box = wanted.letterbox((bgr.shape[1], bgr.shape[0]))
    canvas = np.full((wanted.height, wanted.width, 3), wanted.pad, np.uint8)
    (left, top), (width, height) = box.pad_xy, box.new_wh
    canvas[top : top + height, left : left + width] = cv2.resize(bgr, (width, height))
    if wanted.color == "rgb":
        canvas = canvas[..., ::-1]
    return canvas.transpose(2, 0, 1) * wanted.scale


SPECS: Mapping[str, dict[str, Any]] = {
    "yolox": {"color": "bgr", "scale": 1.0, "placement": "topleft"},
    "ultralytics": {"color": "rgb", "scale": 1 / 255, "placement": "center"},
    "float16": {"color": "rgb", "scale": 1 / 255, "placement": "center", "dtype": "float16"},
    "uint8": {"color": "bgr", "scale": 1.0, "placement": "center", "dtype": "uint8"},
}


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "nv12", "yuv420p10le"])
@pytest.mark.parametrize("size_wh", [(640, 480), (480, 640), (321, 241), (160, 90), (1920, 1080)], ids=str)
@pytest.mark.parametrize("options", SPECS.values(), ids=SPECS.keys())
def test_tensor_equals_plain_opencv(pixel_format: str, size_wh: SizeWH, options: dict[str, Any]) -> None:
    wanted = spec((320, 256), **options)
    image = scene(size_wh)
    tensor, boxes = Preprocessor(wanted, 1)([video_frame(image, pixel_format)])
    error = np.abs(tensor[0].astype(np.float64) - reference(image, wanted)) / wanted.scale
    assert tensor.dtype == wanted.dtype
    assert tensor.shape == (1, 3, 256, 320)
    assert boxes == [wanted.letterbox(size_wh)]
    assert error.mean() < 1.5
    assert np.percentile(error, 99) < 10


def test_padding_is_exact_when_a_row_of_the_batch_changes_its_letterbox() -> None:
    wanted = spec((320, 256), **SPECS["ultralytics"])
    preprocess = Preprocessor(wanted, 2)
    for sizes in ([(640, 480), (480, 640)], [(480, 640), (640, 120)], [(640, 480), (640, 480)], [(100, 640)]):
        images = [scene(size_wh, seed) for seed, size_wh in enumerate(sizes)]
        tensor, boxes = preprocess([video_frame(image) for image in images])
        assert len(tensor) == len(boxes) == len(sizes)
        for row, box in zip(tensor, boxes, strict=True):
            outside = np.ones(row.shape[1:], bool)
            (left, top), (width, height) = box.pad_xy, box.new_wh
            outside[top : top + height, left : left + width] = False
            np.testing.assert_allclose(row[:, outside], 114 / 255, rtol=1e-6)
        for row, image in zip(tensor, images, strict=True):
            assert np.abs(row - reference(image, wanted)).mean() * 255 < 1.5


def test_rows_do_not_mix_when_a_batch_holds_many_sizes() -> None:
    wanted = spec((160, 128))
    sizes = [(64 + 2 * number, 48 + 6 * number) for number in range(20)]
    images = [scene(size_wh, number) for number, size_wh in enumerate(sizes)]
    tensor, _ = Preprocessor(wanted, len(sizes))([video_frame(image) for image in images])
    for row, image in zip(tensor, images, strict=True):
        assert np.abs(row - reference(image, wanted)).mean() < 2


def cut(
    frame: av.VideoFrame, left: int, top: int, size_wh: SizeWH, shift_xy: tuple[int, int]
) -> av.VideoFrame:
    """A part of a planar or semi-planar picture as one of its own; `shift_xy` is that of the chroma planes."""
    part = av.VideoFrame(*size_wh, frame.format.name)
    semiplanar = len(frame.planes) == 2
    sample = 2 if "10" in frame.format.name else 1
    for number, (source, target) in enumerate(zip(frame.planes, part.planes, strict=True)):
        across, down = shift_xy if number else (0, 0)
        size = sample * (2 if number and semiplanar else 1)
        lines = np.frombuffer(memoryview(source), np.uint8).reshape(-1, source.line_size)
        begin = (left >> across) * size
        window = lines[top >> down :, begin : begin + target.width * size][: target.height]
        np.frombuffer(memoryview(target), np.uint8).reshape(-1, target.line_size)[:, : window.shape[1]] = (
            window
        )
    part.colorspace, part.color_range = frame.colorspace, frame.color_range
    return part


@pytest.mark.parametrize(
    ("pixel_format", "shift_xy"),
    [("yuv420p", (1, 1)), ("yuv422p", (1, 0)), ("yuv444p", (0, 0)), ("nv12", (1, 1)), ("yuv420p10le", (1, 1)),
     ("p010le", (1, 1)), ("gray", (0, 0))],
)  # fmt: skip
@pytest.mark.parametrize("size_wh", [(640, 480), (321, 241)], ids=str)
def test_crop_gives_the_pixels_of_the_part_alone(
    pixel_format: str, shift_xy: tuple[int, int], size_wh: SizeWH
) -> None:
    wanted = spec((160, 128), **SPECS["ultralytics"])
    frame = video_frame(scene(size_wh), pixel_format)
    crop = Crop(0.3, 0.25, 1, 0.8)
    box = wanted.letterbox(size_wh, crop)
    part = cut(frame, *box.origin_xy, box.crop_wh, shift_xy)
    preprocess = Preprocessor(wanted, 2)
    tensor, boxes = preprocess([frame, frame], [crop, None])
    assert boxes == [box, wanted.letterbox(size_wh)]
    alone, _ = Preprocessor(wanted, 1)([part])
    np.testing.assert_array_equal(tensor[0], alone[0])
    whole, _ = Preprocessor(wanted, 1)([frame])
    np.testing.assert_array_equal(tensor[1], whole[0])


def test_crop_works_on_formats_that_are_converted_first() -> None:
    wanted = spec((160, 128), **SPECS["yolox"])
    image = scene((640, 480))
    crop = Crop(0.25, 0.25, 0.75, 1)
    tensor, _ = Preprocessor(wanted, 1)([av.VideoFrame.from_ndarray(image, format="bgr24")], [crop])
    expected = reference(np.ascontiguousarray(image[120:480, 160:480]), wanted)
    assert np.abs(tensor[0] - expected).max() <= 1


@pytest.mark.parametrize(
    ("pixel_format", "most"), [("yuv420p10le", 1023), ("yuv420p12le", 4095), ("p010le", 1023)]
)
def test_samples_of_more_bits_are_rounded_to_eight(pixel_format: str, most: int) -> None:
    wanted = spec((64, 32))
    frame = av.VideoFrame(64, 32, pixel_format)
    values = np.linspace(0, most, 64 * 32).astype(np.uint16).reshape(32, 64)
    for number, plane in enumerate(frame.planes):
        target = np.frombuffer(memoryview(plane), np.uint16).reshape(-1, plane.line_size // 2)
        target[:] = (most + 1) // 2 << (6 if pixel_format == "p010le" else 0)  # neutral chroma
        if number == 0:
            target[:, :64] = values << (6 if pixel_format == "p010le" else 0)
    frame.colorspace, frame.color_range = BT709, FULL
    tensor, _ = Preprocessor(wanted, 1)([frame])
    expected = np.minimum(np.rint(values * (256 / (most + 1))), 255)
    np.testing.assert_array_equal(tensor[0], np.broadcast_to(expected, (3, 32, 64)))
