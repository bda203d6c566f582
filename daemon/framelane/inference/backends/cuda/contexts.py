"""One slot's TensorRT contexts, one per bucket, and the memory they share."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from framelane.core.errors import ModelError
from framelane.gpu.memory import DeviceBuffer, PinnedBuffer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.gpu.stream import Stream
    from framelane.gpu.trt.runtime import Context, Engine, Tensor
    from framelane.models.input.letterbox import SizeWH
    from framelane.models.input.spec import PixelType

_IMAGES_RANK, _SIDES = 4, 2
_PIXEL_TYPES: tuple[PixelType, ...] = ("float32", "float16", "uint8")


@dataclass(frozen=True, slots=True)
class EngineShape:
    """How an engine is called.

    Attributes:
        image: the image input.
        outputs: the outputs, in the order of the model file.
        size_wh: the images' size in pixels.
        buckets: batch sizes, ascending.
        sizes: the input for the images' sizes [n, 2]; None if there is none.
    """

    image: Tensor
    outputs: tuple[Tensor, ...]
    size_wh: SizeWH
    buckets: tuple[int, ...]
    sizes: Tensor | None = None

    def input_shape(self, batch: int) -> tuple[int, ...]:
        """Return the shape [n, 3, h, w] of a batch."""
        return batch, 3, self.size_wh[1], self.size_wh[0]


class SlotContexts:
    """Contexts that run one at a time, on one CUDA stream; used by one thread, with the device current.

    Attributes:
        input: the input tensor's memory.
        outputs: the outputs' memory, in the order of `shape.outputs`.
        output_shapes: the outputs' shapes at the largest bucket.
        bytes: size of all this device memory.
    """

    def __init__(self, engine: Engine, shape: EngineShape, stream: Stream) -> None:
        self.shape = shape
        self._owned = ExitStack()
        self._contexts: dict[int, Context] = {}
        self.bytes = 0
        with ExitStack() as guard:
            guard.callback(self.close)
            self._make(engine, stream)
            guard.pop_all()

    def _make(self, engine: Engine, stream: Stream) -> None:
        shape = self.shape
        scratch = self._buffer(engine.scratch_bytes)
        self.input = self._buffer(_size(shape.input_shape(shape.buckets[-1]), shape.image.dtype))
        fixed = self._sizes(stream)
        for bucket in shape.buckets:
            context = engine.context(stream, scratch.address)
            self._owned.callback(context.close)
            context.set_shape(shape.image.name, shape.input_shape(bucket))
            for name in fixed:
                context.set_shape(name, (bucket, _SIDES))
            self._contexts[bucket] = context
        largest = self._contexts[shape.buckets[-1]]
        self.output_shapes = [_fixed(largest.shape(output.name), output) for output in shape.outputs]
        self.outputs = [
            self._buffer(_size(dims, output.dtype))
            for dims, output in zip(self.output_shapes, shape.outputs, strict=True)
        ]
        names = [shape.image.name, *(output.name for output in shape.outputs)]
        addresses = [buffer.address for buffer in (self.input, *self.outputs)]
        for context in self._contexts.values():
            context.set_addresses(dict(zip(names, addresses, strict=True)) | fixed)

    def _sizes(self, stream: Stream) -> dict[str, int]:
        """Write the input's own size, which never changes, for each image; return the address by name."""
        tensor, most = self.shape.sizes, self.shape.buckets[-1]
        if tensor is None:
            return {}
        buffer = self._buffer(_size((most, _SIDES), tensor.dtype))
        with ExitStack() as owned:
            host = _pinned(owned, (most, _SIDES), tensor.dtype)
            host[:] = np.array(self.shape.size_wh, tensor.dtype)
            stream.copy_in(buffer.address, host.ctypes.data, host.nbytes)
            stream.synchronize()
        return {tensor.name: buffer.address}

    def enqueue(self, bucket: int, stream: Stream) -> None:
        """Run the engine on the first `bucket` images of the input, asynchronously."""
        self._contexts[bucket].enqueue(stream)

    def run(self, images: NDArray[np.generic], stream: Stream) -> list[NDArray[np.float32]]:
        """Copy images [n, 3, h, w] in, run, wait, and return raw outputs, each [n, ...].

        N fits the largest bucket.
        """
        count = len(images)
        bucket = next(size for size in self.shape.buckets if size >= count)
        with ExitStack() as owned:
            sent = _pinned(owned, self.shape.input_shape(bucket), self.shape.image.dtype)
            sent[:count] = images
            sent[count:] = 0
            stream.copy_in(self.input.address, sent.ctypes.data, sent.nbytes)
            self.enqueue(bucket, stream)
            got = [
                _pinned(owned, (bucket, *dims[1:]), output.dtype)
                for dims, output in zip(self.output_shapes, self.shape.outputs, strict=True)
            ]
            for buffer, array in zip(self.outputs, got, strict=True):
                stream.copy_out(array.ctypes.data, buffer.address, array.nbytes)
            stream.synchronize()
            return [array[:count].astype(np.float32) for array in got]

    def close(self) -> None:
        """Free contexts, then memory; no batch may be running. May be called twice."""
        self._contexts.clear()
        self._owned.close()

    def _buffer(self, size: int) -> DeviceBuffer:
        buffer = DeviceBuffer(max(size, 1))
        self._owned.callback(buffer.close)
        self.bytes += size
        return buffer


def engine_shape(
    tensors: Sequence[Tensor], outputs: Sequence[str], size_wh: SizeWH, buckets: tuple[int, ...]
) -> EngineShape:
    """Return how to call an engine; `outputs` are the output names in the order of the model file.

    Raises:
        ModelError: the engine's inputs or outputs are not those of the file.
    """
    inputs = [tensor for tensor in tensors if tensor.is_input]
    by_name = {tensor.name: tensor for tensor in tensors if not tensor.is_input}
    images = [tensor for tensor in inputs if len(tensor.shape) == _IMAGES_RANK]
    sizes = [tensor for tensor in inputs if len(tensor.shape) == _SIDES]
    if len(images) != 1 or len(sizes) > 1 or set(outputs) != set(by_name):
        raise ModelError(
            f"the engine's outputs {sorted(by_name)} are not the model's {sorted(outputs)}; "
            "delete the engine, and it is built again"
        )
    ordered = tuple(by_name[name] for name in outputs)
    return EngineShape(images[0], ordered, size_wh, buckets, sizes[0] if sizes else None)


def pixel_type(dtype: str) -> PixelType:
    """Return an engine's input type as one that the preprocess kernel writes.

    Raises:
        ModelError: the kernel can't write this type.
    """
    for known in _PIXEL_TYPES:
        if dtype == known:
            return known
    raise ModelError(f"the engine takes {dtype} images, not one of {', '.join(_PIXEL_TYPES)}; build it again")


def _fixed(dims: tuple[int, ...], output: Tensor) -> tuple[int, ...]:
    if min(dims, default=-1) < 0:
        raise ModelError(
            f"the model's output {output.name} {list(dims)} has a length that depends on the image; "
            "export it without suppression (NMS) in the graph"
        )
    return dims


def _size(shape: tuple[int, ...], dtype: str) -> int:
    return math.prod(shape) * np.dtype(dtype).itemsize


def _pinned(owned: ExitStack, shape: tuple[int, ...], dtype: str) -> NDArray[np.generic]:
    """Return page-locked host memory, which the GPU copies directly."""
    buffer = PinnedBuffer(_size(shape, dtype))
    owned.callback(buffer.close)
    array: NDArray[np.generic] = buffer.array[: _size(shape, dtype)].view(dtype).reshape(shape)
    return array
