"""Where kernels run in tests: on the CPU through the shim, or on a GPU where there is one, with the same few calls."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from tests.gpu.shim.grid import GridOnCpu, address_of

from framelane.inference.backends.cuda.kernels import ptx

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray

    from framelane.inference.backends.cuda.preprocess import Launcher

    Anything = NDArray[Any]


class Machine(Protocol):
    """Kernels, and memory that they can reach."""

    @property
    def kernels(self) -> Launcher: ...

    @property
    def stream(self) -> Any: ...

    def put(self, values: Anything) -> int:
        """The address of a copy, which lives as long as the machine."""
        ...

    def get(self, address: int) -> Anything:
        """What has become of it."""
        ...


class ShimMachine:
    """The kernels of some .cu files on the CPU."""

    def __init__(self, *sources: str) -> None:
        self.kernels = GridOnCpu(*sources)
        self.stream = None
        self._arrays: dict[int, Anything] = {}

    def put(self, values: Anything) -> int:
        # Kernels ask for the alignment that a GPU's allocations have.
        room = np.empty(values.nbytes + 256, np.uint8)
        start = -address_of(room) % 256
        copy = room[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
        copy[...] = values
        self._arrays[address_of(copy)] = copy
        return address_of(copy)

    def get(self, address: int) -> Anything:
        return self._arrays[address]


class GpuMachine:
    """The package's kernels on the first GPU; a context manager."""

    def __enter__(self) -> GpuMachine:
        from framelane.gpu.device import Device  # noqa: PLC0415 - needs a driver
        from framelane.gpu.module import Kernels  # noqa: PLC0415
        from framelane.gpu.stream import Stream  # noqa: PLC0415

        self._exits = ExitStack()
        device = self._exits.enter_context(Device.open())
        self._exits.enter_context(device.current())
        self.kernels = Kernels.load(device, ptx())
        self._exits.callback(self.kernels.close)
        self.stream = Stream()
        self._exits.callback(self.stream.close)
        self._arrays: dict[int, tuple[Anything, Any]] = {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    def put(self, values: Anything) -> int:
        from framelane.gpu.memory import DeviceBuffer, PinnedBuffer  # noqa: PLC0415

        size = max(values.nbytes, 1)
        pinned, buffer = PinnedBuffer(size), DeviceBuffer(size)
        self._exits.callback(buffer.close)
        self._exits.callback(pinned.close)
        pinned.array[: values.nbytes] = np.ascontiguousarray(values).view(np.uint8).reshape(-1)
        self.stream.copy_in(buffer.address, pinned.address, values.nbytes)
        self._arrays[buffer.address] = (values, pinned)
        return int(buffer.address)

    def change(self, address: int, values: Anything) -> None:
        """Other values of the same size."""
        _, pinned = self._arrays[address]
        self.stream.synchronize()
        pinned.array[: values.nbytes] = values.view(np.uint8).reshape(-1)
        self.stream.copy_in(address, pinned.address, values.nbytes)

    def get(self, address: int) -> Anything:
        values, pinned = self._arrays[address]
        self.stream.copy_out(pinned.address, address, values.nbytes)
        self.stream.synchronize()
        found: Anything = pinned.array[: values.nbytes].view(values.dtype).reshape(values.shape).copy()
        return found
