"""Runs a TensorRT engine: its tensors, and execution contexts that borrow their memory.

A Device must be current on the calling thread.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from framelane.core.errors import ModelError
from framelane.gpu.errors import GpuError
from framelane.gpu.trt import versions
from framelane.gpu.trt.load import load_engine
from framelane.gpu.trt.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from framelane.gpu.stream import Stream

# By the name of TensorRT's DataType: the possible types of a detector's input and outputs.
_DTYPES = {
    "FLOAT": "float32", "HALF": "float16", "UINT8": "uint8", "INT8": "int8", "INT32": "int32", "INT64": "int64",
    "BOOL": "bool",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of an engine; dynamic dimensions are -1."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    is_input: bool


class Engine:
    """A deserialized engine. Threads may share it, each with its own contexts.

    Before TensorRT 8.6, no two contexts can use the same optimization profile, so each context gets a copy of
    the engine, including its weights. Unused copies are kept for the next context.

    Attributes:
        tensors: its inputs and outputs, in the file's order.
        scratch_bytes: the working memory of a context.
        plan_bytes: size of the engine's file; its weights take about as much of the GPU's memory.
    """

    def __init__(self, trt: Any, runtime: Any, plan: bytes, raw: Any) -> None:  # noqa: ANN401 - TensorRT's own, which have no types
        self._trt = trt
        # It must outlive the engine.
        self._runtime = runtime
        self._raw = raw
        self._plan = b"" if versions.shares_profiles(trt) else plan
        self._spare = [raw]
        self._copies = 1
        self._changing = threading.Lock()
        self.tensors = tuple(_tensor(raw, raw.get_tensor_name(index)) for index in range(raw.num_io_tensors))
        self.scratch_bytes = int(versions.scratch_bytes(raw))
        self.plan_bytes = len(plan)

    @staticmethod
    def load(path: Path) -> Engine:
        """Load an engine file.

        Raises:
            ModelError: it can't be read, or this TensorRT or GPU can't run it.
            OutOfMemoryError: the GPU is full.
        """
        try:
            plan = path.read_bytes()
        except OSError as error:
            raise ModelError(f"{path} can't be read: {error.strerror}") from error
        trt = versions.load()
        runtime = trt.Runtime(logger(trt))
        raw = load_engine(trt, runtime, plan, str(path), "delete it to have it built again")
        return Engine(trt, runtime, plan, raw)

    @property
    def copies(self) -> int:
        """How many copies of it are in the GPU's memory."""
        return self._copies

    def batch_range(self, name: str) -> tuple[int, int]:
        """Return the least and most of an input's first dimension."""
        least, _best, most = self._raw.get_tensor_profile_shape(name, 0)
        return int(next(iter(least))), int(next(iter(most)))

    def context(self, stream: Stream, scratch: int) -> Context:
        """Create a context.

        Args:
            stream: where its profile is set up; this call waits for that.
            scratch: address of `scratch_bytes` bytes; contexts that never run at once may share them.

        Raises:
            GpuError: TensorRT can't create it.
            ModelError: TensorRT can't load another copy of the engine for it.
        """
        with self._changing:
            engine = self._free_copy()
            raw = versions.new_context(self._trt, engine)
            if raw is None:
                self._give_back(engine)
                raise GpuError("TensorRT could not make an execution context; its log says why")
            versions.give_scratch(raw, scratch, self.scratch_bytes)
            versions.select_profile(raw, 0, stream.handle)
            stream.synchronize()
        return Context(raw, lambda: self._give_back(engine))

    def close(self) -> None:
        """Free the engine. Its contexts must be closed. A repeated call does nothing."""
        self._spare.clear()
        self._raw = self._runtime = None

    def _free_copy(self) -> Any:  # noqa: ANN401 - TensorRT's own
        if not self._plan:
            return self._raw
        if self._spare:
            return self._spare.pop()
        copy = load_engine(self._trt, self._runtime, self._plan, "the engine, once more", "lower `slots`")
        self._copies += 1
        return copy

    def _give_back(self, engine: Any) -> None:  # noqa: ANN401 - TensorRT's own
        if self._plan and self._runtime is not None:
            self._spare.append(engine)


class Context:
    """One execution context: set its shapes and addresses, then enqueue it as often as needed.

    A context that was captured into a graph must not be changed any more.
    """

    def __init__(self, raw: Any, closed: Callable[[], None]) -> None:  # noqa: ANN401 - TensorRT's own
        self._raw = raw
        self._closed = closed

    def set_shape(self, name: str, shape: tuple[int, ...]) -> None:
        """Set an input's shape. Raise GpuError if the profile does not allow it."""
        if not self._raw.set_input_shape(name, shape):
            raise GpuError(f"TensorRT refuses shape {list(shape)} for {name}; its log says why")

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape, once all inputs' shapes are set; -1 if it depends on the data."""
        return tuple(int(dim) for dim in self._raw.get_tensor_shape(name))

    def set_addresses(self, addresses: Mapping[str, int]) -> None:
        """Set the device addresses of inputs and outputs."""
        for name, address in addresses.items():
            if not self._raw.set_tensor_address(name, address):
                raise GpuError(f"TensorRT refuses the address of {name}; its log says why")

    def enqueue(self, stream: Stream) -> None:
        """Run once on a stream; returns before it has run."""
        if not self._raw.execute_async_v3(stream.handle):
            raise GpuError("TensorRT could not enqueue an inference; its log says why")

    def close(self) -> None:
        """Free the context. A repeated call does nothing."""
        if self._raw is not None:
            # TensorRT frees it with its last reference, before its engine serves another.
            self._raw = None
            self._closed()


def _tensor(raw: Any, name: str) -> Tensor:  # noqa: ANN401 - TensorRT's own
    dtype = raw.get_tensor_dtype(name).name
    shape = tuple(int(dim) for dim in raw.get_tensor_shape(name))
    return Tensor(name, _DTYPES.get(dtype, dtype.lower()), shape, raw.get_tensor_mode(name).name == "INPUT")
