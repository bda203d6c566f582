"""A GPU that only writes down what it is told, with the signatures of `gpu/`: order is what matters."""

from __future__ import annotations

import itertools
import struct
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from framelane.gpu import graph, memory, stream
from framelane.gpu.module import layouts
from framelane.inference.backends.cuda import (
    backend,
    batch_rows,
    contexts,
    fetcher,
    finish,
    frame_memory,
    image_table,
    kept_details,
    looks,
    runner,
    twin_buffer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

    from framelane.gpu.trt.runtime import Tensor


class Journal:
    """What was done, in order; each resource that is open."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.open: list[str] = []
        self.recording = False
        self.fail: dict[str, Exception] = {}
        self.fail_once: dict[str, Exception] = {}

    def note(self, what: str) -> None:
        self.done.append(f"[{what}]" if self.recording else what)
        if what in self.fail_once:
            raise self.fail_once.pop(what)
        if what in self.fail:
            raise self.fail[what]

    def opened(self, what: str) -> None:
        self.note(f"make {what}")
        self.open.append(what)

    def closed(self, what: str) -> None:
        if what in self.open:
            self.open.remove(what)
            self.done.append(f"free {what}")


class FakeStream:
    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.handle = 77
        journal.opened("stream")

    def wait_for(self, event: FakeEvent) -> None:
        self.journal.note(f"stream waits for {event.name}")

    def synchronize(self) -> None:
        self.journal.note("synchronize")

    def copy_in(self, dst: int, src: int, size: int) -> None:
        self.journal.note("copy in")

    def copy_out(self, dst: int, src: int, size: int) -> None:
        self.journal.note(f"copy out {size}")

    def close(self) -> None:
        self.journal.closed("stream")


class FakeEvent:
    names = ("decoded", "read", "done", "looked")
    done = True

    def __init__(self, journal: Journal, number: int) -> None:
        self.journal = journal
        self.name = self.names[number]
        self.before_wait: Callable[[], None] = lambda: None
        journal.opened(f"event {self.name}")

    def record(self, stream: FakeStream | None) -> None:
        self.journal.note(f"record {self.name}{' on the legacy stream' if stream is None else ''}")

    def wait(self) -> None:
        self.before_wait()
        self.journal.note(f"wait for {self.name}")

    def close(self) -> None:
        self.journal.closed(f"event {self.name}")


class FakeBuffer:
    """Device or pinned memory."""

    made = 0

    def __init__(self, journal: Journal, kind: str, size: int) -> None:
        FakeBuffer.made += 1
        self.journal = journal
        self.size = size
        self.array = np.zeros(size if kind == "pinned" else 0, np.uint8)
        self.address = 0x1000 * FakeBuffer.made
        self.name = f"{kind} {FakeBuffer.made}"
        journal.open.append(self.name)

    def close(self) -> None:
        if self.name in self.journal.open:
            self.journal.open.remove(self.name)


class FakeGraph:
    def __init__(self, journal: Journal, number: int) -> None:
        self.journal = journal
        self.number = number
        journal.opened(f"graph {number}")

    def launch(self, stream: FakeStream) -> None:
        self.journal.note(f"launch graph {self.number}")

    def close(self) -> None:
        self.journal.closed(f"graph {self.number}")


class FakeKernels:
    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    def launch(
        self,
        name: str,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        stream: FakeStream,
        *args: np.generic,
        shared: int = 0,
    ) -> None:
        struct.pack(kernels()[name], *args)  # refuses other arguments than the kernel takes
        image_table = f" of {grid[2]}" if "preprocess" in name else ""
        self.journal.note(f"{name}{image_table}")


@cache
def kernels() -> dict[str, str]:
    """The real kernels' parameters."""
    return layouts(
        files("framelane.inference.backends.cuda.kernels").joinpath("framelane.ptx").read_text("utf-8")
    )


class FakeContext:
    def __init__(self, journal: Journal, tensors: tuple[Tensor, ...], number: int) -> None:
        self.journal = journal
        self.tensors = {tensor.name: tensor for tensor in tensors}
        self.name = f"context {number}"
        self.batch = 0
        self.addresses: dict[str, int] = {}
        journal.opened(self.name)

    def set_shape(self, name: str, shape: tuple[int, ...]) -> None:
        assert len(shape) == len(self.tensors[name].shape)
        self.batch = shape[0]

    def shape(self, name: str) -> tuple[int, ...]:
        return self.batch, *self.tensors[name].shape[1:]

    def set_addresses(self, addresses: dict[str, int]) -> None:
        self.addresses = dict(addresses)

    def enqueue(self, stream: FakeStream) -> None:
        self.journal.note(f"infer {self.batch}")

    def close(self) -> None:
        self.journal.closed(self.name)


class FakeEngine:
    scratch_bytes = 1000
    plan_bytes = 2000

    def __init__(self, journal: Journal, tensors: tuple[Tensor, ...]) -> None:
        self.journal = journal
        self.tensors = tensors
        self.scratches: list[int] = []
        self.contexts: list[FakeContext] = []

    def batch_range(self, name: str) -> tuple[int, int]:
        return 1, 16

    def context(self, stream: FakeStream, scratch: int) -> FakeContext:
        self.scratches.append(scratch)
        self.contexts.append(FakeContext(self.journal, self.tensors, len(self.contexts)))
        return self.contexts[-1]

    def close(self) -> None:
        self.journal.closed("engine")


class FakeDevice:
    index = 0
    name = "NVIDIA Test"
    capability = (9, 0)

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    def memory_used(self) -> int:
        return 1_000_000 * len(self.journal.open)

    @contextmanager
    def current(self) -> Iterator[None]:
        self.journal.opened("current device")
        try:
            yield
        finally:
            self.journal.closed("current device")


class FakeGpu:
    index = 0

    def __init__(self, journal: Journal) -> None:
        self.device = FakeDevice(journal)
        self.kernels = FakeKernels(journal)
        self.closed = False

    def close(self) -> None:
        self.closed = True


class FakeTable:
    """A PictureTable that has read its pictures when the preprocess kernel has run."""

    def __init__(self, journal: Journal, spec: Any, batch: int) -> None:
        self.journal = journal
        self.spec = spec
        self.address = 0x50
        self.crops: list[Any] = []
        journal.opened("table")

    def fill(self, pictures: list[Any], crops: list[Any]) -> list[Any]:
        self.crops = list(crops)
        self.journal.note(f"fill {len(pictures)}")
        return [self.spec.letterbox(self.spec.size_wh) for _ in pictures]

    def upload(self, stream: FakeStream) -> None:
        self.journal.note("upload table")

    def close(self) -> None:
        self.journal.closed("table")


def install(monkeypatch: pytest.MonkeyPatch) -> Journal:
    """Put the fakes in place of `gpu/` wherever it is used."""
    journal = Journal()
    events, graphs = itertools.count(), itertools.count()

    def record(stream: FakeStream, work: Callable[[], None]) -> FakeGraph:
        journal.recording = True
        try:
            work()
        finally:
            journal.recording = False
        return FakeGraph(journal, next(graphs))

    fakes = {
        "Stream": lambda: FakeStream(journal),
        "Event": lambda: FakeEvent(journal, next(events) % 3),
        "DeviceBuffer": lambda size: FakeBuffer(journal, "device", size),
        "PinnedBuffer": lambda size: FakeBuffer(journal, "pinned", size),
        "capture": record,
    }
    modules = (contexts, batch_rows, finish, kept_details, image_table, frame_memory, twin_buffer, looks)
    for module in (*modules, fetcher, runner, backend, stream, memory, graph):
        for name, fake in fakes.items():
            if hasattr(module, name):
                monkeypatch.setattr(module, name, fake)
    monkeypatch.setattr(looks, "Event", lambda: FakeEvent(journal, 3))
    return journal
