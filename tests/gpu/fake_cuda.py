"""PyCUDA and libcuda without a GPU: the names, arguments and error texts of the real ones (PyCUDA 2026.1, CUDA 13)."""

from __future__ import annotations

import ctypes
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from framelane.gpu import device, graph, libcuda, stream

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


class Error(Exception):
    __module__ = "pycuda._driver"


class CudaMemoryError(Error):
    __module__ = "pycuda._driver"


class LogicError(Error):
    __module__ = "pycuda._driver"


class LaunchError(Error):
    __module__ = "pycuda._driver"


class FakeContext:
    """PyCUDA's: `pop` is static, and objects may be made and let go only where one is pushed."""

    handle = 0x1000
    stack: list[FakeContext] = []  # noqa: RUF012 - PyCUDA's is global too

    def __init__(self) -> None:
        self.detached = False

    def push(self) -> None:
        self.stack.append(self)

    @staticmethod
    def pop() -> None:
        FakeContext.stack.pop()

    def detach(self) -> None:
        self.detached = True
        self.stack.remove(self)


def needs_context() -> None:
    if not FakeContext.stack:
        raise LogicError(
            "explicit_context_dependent failed: invalid device context - no currently active context?"
        )


class FakeDevice:
    def __init__(self, index: int) -> None:
        if index > 0:
            raise LogicError("cuDeviceGet failed: invalid device ordinal")
        self.context = FakeContext()

    def name(self) -> str:
        return "NVIDIA Test 100"

    def compute_capability(self) -> tuple[int, int]:
        return 9, 0

    def total_memory(self) -> int:
        return 80 << 30

    def retain_primary_context(self) -> FakeContext:
        return self.context


class FakeAllocation:
    def __init__(self, size: int) -> None:
        needs_context()
        if size > 80 << 30:
            raise CudaMemoryError("cuMemAlloc failed: out of memory")
        self.freed = 0

    def __int__(self) -> int:
        return 0x7F0000000000

    def free(self) -> None:
        needs_context()
        self.freed += 1


class FakeHostAllocation:
    """The array's base, as PagelockedHostAllocation is."""

    def __init__(self, size: int) -> None:
        needs_context()
        self.freed = 0
        self._memory = np.empty(size, np.uint8)
        self.__array_interface__ = self._memory.__array_interface__

    def free(self) -> None:
        needs_context()
        self.freed += 1


class FakeStream:
    handle = 0x2000

    def __init__(self, flags: int = 0) -> None:
        needs_context()
        self.flags = flags
        self.waits: list[FakeEvent] = []
        self.fault: Error | None = None

    def wait_for_event(self, event: FakeEvent) -> None:
        self.waits.append(event)

    def synchronize(self) -> None:
        if self.fault is not None:
            raise self.fault


class FakeEvent:
    def __init__(self, flags: int = 0) -> None:
        needs_context()
        self.flags = flags
        self.recorded: list[FakeStream | None] = []

    def record(self, stream: FakeStream | None = None) -> FakeEvent:
        self.recorded.append(stream)
        return self

    def synchronize(self) -> FakeEvent:
        return self

    def query(self) -> bool:
        return True

    def time_since(self, _start: FakeEvent) -> float:
        return 1.5


class FakeFunction:
    def __init__(self) -> None:
        self.launches: list[tuple[Any, ...]] = []

    def _launch_kernel(self, *arguments: Any) -> None:
        self.launches.append(arguments)


class FakeModule:
    def __init__(self, image: bytes) -> None:
        needs_context()
        assert image.endswith(b"\0")
        self.functions: dict[str, FakeFunction] = {}

    def get_function(self, name: str) -> FakeFunction:
        return self.functions.setdefault(name, FakeFunction())


def pagelocked_empty(size: int, dtype: Any) -> Any:
    return np.asarray(FakeHostAllocation(size * np.dtype(dtype).itemsize))


class FakeLibrary:
    """libcuda's functions: notes calls, answers what `answers` says, success by default."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.answers: dict[str, int] = {}
        self.writes: dict[str, list[int]] = {
            "cuStreamEndCapture": [0x30],
            "cuGraphInstantiateWithFlags": [0x40],
        }

    def __getattr__(self, name: str) -> Callable[..., int]:
        def call(*arguments: Any) -> int:
            self.calls.append((name, *(each for each in arguments if isinstance(each, int))))
            outs = [each._obj for each in arguments if hasattr(each, "_obj")]
            for out, value in zip(outs, self.writes.get(name, []), strict=False):
                out.value = value
            return self.answers.get(name, 0)

        return call

    def names(self) -> list[str]:
        return [call[0] for call in self.calls]


def install(monkeypatch: pytest.MonkeyPatch) -> FakeLibrary:
    """Put the fakes where the package looks; returns libcuda."""
    package, driver = ModuleType("pycuda"), ModuleType("pycuda.driver")
    for name, value in {
        "Error": Error, "LogicError": LogicError, "LaunchError": LaunchError, "MemoryError": CudaMemoryError,
        "Device": FakeDevice, "mem_alloc": FakeAllocation, "pagelocked_empty": pagelocked_empty,
        "Stream": FakeStream, "Event": FakeEvent, "module_from_buffer": FakeModule,
    }.items():  # fmt: skip
        setattr(driver, name, value)
    package.driver = driver  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", driver)
    monkeypatch.setattr(FakeContext, "stack", [])
    library = FakeLibrary()
    both = libcuda.Libcuda(library, library)  # type: ignore[arg-type]
    for module in (device, graph, stream):
        monkeypatch.setattr(module, "libcuda", lambda: both)
    monkeypatch.setattr(device, "initialize", lambda: 0)
    return library


def address_of(array: Any) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(array))
