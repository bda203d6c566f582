"""Ranges of a network's tensors over real images, in bounded memory."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime

from framelane.core.errors import ModelError
from framelane.media.image_files import SUFFIXES_TEXT, picture_files, read_picture
from framelane.models.input.preprocess import Preprocessor
from framelane.models.onnx_session import sizes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from framelane.models.input.spec import InputSpec

LEAST_PICTURES = 128
# More change nothing and take minutes.
MOST_PICTURES = 512
_LEVELS = 127

# A bin is a float32's exponent and the first 6 bits of its mantissa: 1.6 % wide, for values of any size.
_SHIFT = 17
_BINS = 1 << 14
_EDGES = np.arange(_BINS + 1, dtype=np.uint32) << np.uint32(_SHIFT)
# From the largest value down to a 64th of it.
_CANDIDATES = 6 * 64
# Values below 2^-63 count as zero; the bins end at infinity.
_TINY, _HUGE = 1 << 12, 0x7F800000 >> _SHIFT


def calibration_pictures(folder: str | Path) -> list[Path]:
    """Return the images of a folder to calibrate with: all, or 512 spread evenly over their names.

    Raises:
        ModelError: the folder does not exist, or has fewer than 128 images.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelError(
            f"{folder} is not a folder; INT8 is calibrated with your own images, at least 128 of them"
        )
    paths = picture_files(folder)
    if len(paths) < LEAST_PICTURES:
        raise ModelError(
            f"{folder} holds {len(paths)} images ({SUFFIXES_TEXT}); INT8 takes at least "
            f"{LEAST_PICTURES} images like those of your cameras"
        )
    if len(paths) <= MOST_PICTURES:
        return paths
    return [paths[round(index)] for index in np.linspace(0, len(paths) - 1, MOST_PICTURES)]


def digest_of(paths: Sequence[Path]) -> str:
    """Return the first 12 hex digits of the SHA-256 over all images, without their names."""
    digest = hashlib.sha256()
    for each in sorted(hashlib.sha256(path.read_bytes()).digest() for path in paths):
        digest.update(each)
    return digest.hexdigest()[:12]


def batches_of(paths: Iterable[Path], spec: InputSpec) -> Iterator[NDArray[np.generic]]:
    """Yield each image as a batch of one, through the daemon's own preprocessing; valid until the next.

    Raises:
        ModelError: fewer than 128 of them can be read.
    """
    preprocess = Preprocessor(spec, 1)
    read = 0
    for path in paths:
        picture = read_picture(path)
        if picture is not None:
            read += 1
            yield preprocess([picture])[0]
    if read < LEAST_PICTURES:
        raise ModelError(
            f"only {read} of the images for INT8 can be decoded; at least {LEAST_PICTURES} are needed"
        )


class Histogram:
    """Counts magnitudes in one pass, with bins whose width follows the values."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS, np.int64)

    def add(self, values: NDArray[np.float32]) -> None:
        """Count values."""
        bits = np.ascontiguousarray(values, np.float32).reshape(-1).view(np.uint32)
        bins = (bits & np.uint32(0x7FFFFFFF)) >> np.uint32(_SHIFT)
        self._counts += np.bincount(bins, minlength=_BINS)

    def range(self) -> float:
        """Return the largest magnitude for eight bits to reach: the one with the least mean square error.

        Larger values are cut off; smaller ones are rounded to 127 steps. Returns 1.0 for a tensor that is
        always 0.
        """
        filled = np.flatnonzero(self._counts[_TINY:_HUGE]) + _TINY
        if not filled.size:
            return 1.0
        low, high = _EDGES[filled].view(np.float32), _EDGES[filled + 1].view(np.float32)
        middle = (low.astype(np.float64) + high) / 2
        counts = self._counts[filled].astype(np.float64)
        last = int(filled[-1]) + 1
        limits = _EDGES[last - _CANDIDATES : last + 1].view(np.float32).astype(np.float64)
        return float(min(limits, key=lambda limit: _error(middle, counts, limit)))


def _error(values: NDArray[np.float64], counts: NDArray[np.float64], limit: float) -> float:
    step = limit / _LEVELS
    rounded = np.where(values < step / 2, values**2, step**2 / 12)
    return float((counts * np.where(values > limit, (values - limit) ** 2, rounded)).sum())


def ranges(
    model: onnx.ModelProto,
    tensors: Sequence[str],
    batches: Iterable[NDArray[np.generic]],
    progress: Callable[[int], None] = lambda _done: None,
) -> dict[str, float]:
    """Return the range of each tensor of a float32 model, over all batches.

    ONNX Runtime's own calibrators keep every activation of every image until the end: gigabytes for 128
    images.

    Args:
        model: the model; it is edited, so pass a copy.
        tensors: names of the tensors.
        batches: inputs.
        progress: called with the number of finished batches.
    """
    outputs = {value.name for value in model.graph.output}
    names = list(dict.fromkeys(tensors))
    model.graph.output.extend(
        onnx.helper.make_empty_tensor_value_info(name) for name in names if name not in outputs
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    image, *sizes = sorted(session.get_inputs(), key=lambda each: len(each.shape), reverse=True)
    # The file may fix its batch size.
    copies = image.shape[0] if isinstance(image.shape[0], int) else 1
    found = {name: Histogram() for name in names}
    for done, batch in enumerate(batches, 1):
        inputs = {image.name: np.repeat(batch, copies, axis=0)}
        inputs |= {
            each.name: sizes_of(inputs[image.name], each.type.removeprefix("tensor(").removesuffix(")"))
            for each in sizes
        }
        for name, values in zip(names, session.run(names, inputs), strict=True):
            found[name].add(values)
        progress(done)
    return {name: histogram.range() for name, histogram in found.items()}
