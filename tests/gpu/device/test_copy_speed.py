"""Copies of frames for snapshots cost little beside any model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.gpu.device.here import needs_gpu

from framelane.gpu.memory import DeviceBuffer
from framelane.gpu.module import Kernels
from framelane.gpu.stream import Event
from framelane.inference.backends.cuda.copy_plan import copy_plan
from framelane.inference.backends.cuda.copy_tables import (
    COPIED_PLANE,
    REDUCED_PLANE,
    launch_copy,
    launch_reduce,
    launch_sharpness,
)
from framelane.inference.backends.cuda.frame_copier import plane_rows
from framelane.inference.backends.cuda.kernels import ptx
from framelane.inference.backends.cuda.looks import look_rows
from framelane.inference.backends.cuda.twin_buffer import TwinBuffer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from framelane.gpu.device import Device
    from framelane.gpu.stream import Stream

pytestmark = [pytest.mark.gpu, needs_gpu]

BATCH, OBJECTS = 16, 8
RUNS = 30
SIZE_WH, REDUCED_WH = (1920, 1080), (1280, 720)
# Of what a T4 needs for YOLOv8s on such a batch, some 40 ms, a twentieth; big GPUs stay far below.
MOST_MS = 2.0


class Frames:
    """Surfaces of a batch, room for their copies, and a table for any kernel."""

    def __init__(self, pixel_format: str) -> None:
        plan = copy_plan(pixel_format, SIZE_WH)
        assert plan is not None
        self.plan = plan
        size = plan.size * plan.sample_bytes
        self.surfaces = [DeviceBuffer(size) for _ in range(BATCH)]
        self.copies = [DeviceBuffer(plan.size) for _ in range(BATCH)]
        self.output = DeviceBuffer(BATCH * plan.size)
        self.table = TwinBuffer(1 << 16)

    def planes(self, number: int) -> Any:
        return [
            SimpleNamespace(
                buffer_ptr=self.surfaces[number].address + part.offset * self.plan.sample_bytes,
                line_size=part.pitch * self.plan.sample_bytes,
            )
            for part in self.plan.parts
        ]

    def upload(self, rows: np.ndarray[Any, np.dtype[np.void]], stream: Stream) -> None:
        self.table.array[: rows.nbytes] = rows.view(np.uint8)
        self.table.upload(stream, rows.nbytes)

    def close(self) -> None:
        self.table.close()
        for buffer in (*self.surfaces, *self.copies, self.output):
            buffer.close()


@pytest.fixture(params=["nv12", "p010le"])
def frames(request: pytest.FixtureRequest, device: Device) -> Iterator[Frames]:
    made = Frames(request.param)
    yield made
    made.close()


@pytest.fixture
def kernels(device: Device) -> Iterator[Kernels]:
    loaded = Kernels.load(device, ptx())
    yield loaded
    loaded.close()


def best_ms(stream: Stream, launch: Callable[[], None]) -> float:
    begin, end = Event(timing=True), Event(timing=True)
    took_ms = []
    for _ in range(RUNS):
        begin.record(stream)
        launch()
        end.record(stream)
        end.wait()
        took_ms.append(end.ms_since(begin))
    for mark in (begin, end):
        mark.close()
    return min(took_ms)


def test_a_batch_of_1080p_is_copied_looked_at_and_reduced_in_a_fraction_of_a_millisecond(
    frames: Frames, kernels: Kernels, stream: Stream, record_property: Callable[[str, object], None]
) -> None:
    plan, table = frames.plan, frames.table.address
    given = [
        row
        for number in range(BATCH)
        for row in plane_rows(plan, frames.planes(number), frames.copies[number].address)
    ]
    copied = np.array(given, COPIED_PLANE)
    frames.upload(copied, stream)
    copy_ms = best_ms(stream, lambda: launch_copy(kernels, stream, table, copied))

    count = BATCH * OBJECTS
    regions = np.array(
        [[200 * (n % OBJECTS), 300, 200 * (n % OBJECTS) + 180, 700] for n in range(count)], np.int32
    )
    addresses = np.repeat(np.array([copy.address for copy in frames.copies], np.uint64), OBJECTS)
    looks = look_rows(addresses, np.full(count, plan.parts[0].pitch, np.int32), regions)
    frames.upload(looks, stream)
    look_ms = best_ms(stream, lambda: launch_sharpness(kernels, stream, table, count, frames.output.address))

    reduced = np.array(
        [
            (
                copy.address + channel.offset,
                frames.output.address + number * plan.size,
                channel.pitch,
                channel.pitch,
                channel.size_wh(SIZE_WH),
                channel.size_wh(REDUCED_WH),
                channel.step,
            )
            for number, copy in enumerate(frames.copies)
            for channel in plan.channels
        ],
        REDUCED_PLANE,
    )
    frames.upload(reduced, stream)
    reduce_ms = best_ms(stream, lambda: launch_reduce(kernels, stream, table, reduced))
    stream.synchronize()
    times = {"copy_ms": copy_ms, "look_ms": look_ms, "reduce_ms": reduce_ms}
    for name, took_ms in times.items():
        record_property(name, took_ms)
    shown = ", ".join(f"{name} {took_ms:.3f}" for name, took_ms in times.items())
    print(f"{BATCH} frames of 1080p, {OBJECTS} objects each: {shown}")  # noqa: T201 - shown with -s
    assert max(times.values()) < MOST_MS
