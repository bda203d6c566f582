"""Engines and contexts, with TensorRT's own method names and a TensorRT that only answers."""

from __future__ import annotations

from enum import Enum
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from framelane.core.errors import ModelError
from framelane.gpu.errors import GpuError, OutOfMemoryError
from framelane.gpu.trt import runtime, versions
from framelane.gpu.trt.log import journal
from framelane.gpu.trt.runtime import Engine, Tensor

if TYPE_CHECKING:
    from pathlib import Path


class TensorIOMode(Enum):
    INPUT = 1
    OUTPUT = 2


class DataType(Enum):
    FLOAT = 0
    HALF = 1


class RawContext:
    """nvinfer1::IExecutionContext as 8.5.3 has it."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.refused: set[str] = set()

    def _answer(self, name: str, *args: Any) -> bool:
        self.calls.append((name, *args))
        return name not in self.refused

    @property
    def device_memory(self) -> int:
        raise AttributeError("unreadable attribute")

    @device_memory.setter
    def device_memory(self, address: int) -> None:
        self.calls.append(("device_memory", address))

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        return self._answer("set_optimization_profile_async", profile_index, stream_handle)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        return self._answer("set_input_shape", name, shape)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        return self._answer("set_tensor_address", name, memory)

    def execute_async_v3(self, stream_handle: int) -> bool:
        return self._answer("execute_async_v3", stream_handle)

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return 4, 84, 8400


class RawEngine:
    """nvinfer1::ICudaEngine as 8.5.3 has it."""

    num_io_tensors = 2
    device_memory_size = 4096
    names = ("images", "output0")

    def __init__(self) -> None:
        self.contexts: list[RawContext | None] = []
        self.next_context: RawContext | None = RawContext()

    def get_tensor_name(self, index: int) -> str:
        return self.names[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name == "images" else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType.HALF if name == "images" else DataType.FLOAT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (-1, 3, 640, 640) if name == "images" else (-1, 84, 8400)

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        return [(1, 3, 640, 640), (16, 3, 640, 640), (16, 3, 640, 640)]

    def create_execution_context_without_device_memory(self) -> RawContext | None:
        self.contexts.append(self.next_context)
        made, self.next_context = self.next_context, RawContext()
        return made


class Stream:
    handle = 99

    def __init__(self) -> None:
        self.waits = 0

    def synchronize(self) -> None:
        self.waits += 1


class Trt:
    """The module, as far as an engine is run with it."""

    def __init__(self, version: str) -> None:
        self.__version__ = version
        self.made: list[RawEngine] = []
        self.refuses = False

    class ILogger:
        pass

    def Runtime(self, _logger: object) -> Any:  # noqa: N802 - TensorRT's name
        return SimpleNamespace(deserialize_cuda_engine=self._deserialize)

    def _deserialize(self, plan: bytes) -> RawEngine | None:
        if self.refuses:
            return None
        self.made.append(RawEngine())
        return self.made[-1]


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "m.engine"
    path.write_bytes(b"plan")
    return path


def load(plan: Path, monkeypatch: pytest.MonkeyPatch, version: str = "8.5.3.1") -> tuple[Engine, Trt]:
    trt = Trt(version)
    monkeypatch.setattr(versions, "load", lambda: trt)
    monkeypatch.setattr(runtime, "logger", lambda _trt: None)
    return Engine.load(plan), trt


def test_an_engine_tells_its_tensors(plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, _ = load(plan, monkeypatch)
    assert engine.tensors == (
        Tensor("images", "float16", (-1, 3, 640, 640), is_input=True),
        Tensor("output0", "float32", (-1, 84, 8400), is_input=False),
    )
    assert (engine.scratch_bytes, engine.plan_bytes, engine.batch_range("images")) == (4096, 4, (1, 16))


def test_a_context_gets_scratch_then_profile_zero_and_waits_for_it(
    plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, trt = load(plan, monkeypatch)
    stream = Stream()
    context = engine.context(stream, 0x1000)  # type: ignore[arg-type]
    context.set_shape("images", (4, 3, 640, 640))
    context.set_addresses({"images": 0x2000, "output0": 0x3000})
    context.enqueue(stream)  # type: ignore[arg-type]
    raw = trt.made[0].contexts[0]
    assert raw is not None
    assert raw.calls == [
        ("device_memory", 0x1000),
        ("set_optimization_profile_async", 0, 99),
        ("set_input_shape", "images", (4, 3, 640, 640)),
        ("set_tensor_address", "images", 0x2000),
        ("set_tensor_address", "output0", 0x3000),
        ("execute_async_v3", 99),
    ]
    assert stream.waits == 1
    assert context.shape("output0") == (4, 84, 8400)


def test_before_8_6_each_context_has_an_engine_and_closed_ones_serve_again(
    plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, trt = load(plan, monkeypatch)
    contexts = [engine.context(Stream(), 0x1000) for _ in range(3)]  # type: ignore[arg-type]
    assert (engine.copies, [len(each.contexts) for each in trt.made]) == (3, [1, 1, 1])
    for context in contexts:
        context.close()
        context.close()
    for _ in range(3):
        engine.context(Stream(), 0x1000)  # type: ignore[arg-type]
    assert (engine.copies, [len(each.contexts) for each in trt.made]) == (3, [2, 2, 2])


@pytest.mark.parametrize("version", ["8.6.1", "10.16.1.11", "11.4.0"])
def test_from_8_6_on_contexts_share_one_engine(
    plan: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    engine, trt = load(plan, monkeypatch, version)
    for _ in range(3):
        engine.context(Stream(), 0x1000)  # type: ignore[arg-type]
    assert (engine.copies, [len(each.contexts) for each in trt.made]) == (1, [3])


def test_a_context_that_can_not_be_made_leaves_its_engine_to_others(
    plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, trt = load(plan, monkeypatch)
    trt.made[0].next_context = None
    with pytest.raises(GpuError, match="could not make an execution context"):
        engine.context(Stream(), 0x1000)  # type: ignore[arg-type]
    engine.context(Stream(), 0x1000)  # type: ignore[arg-type]
    assert engine.copies == 1


@pytest.mark.parametrize(
    ("refused", "call"),
    [
        ("set_input_shape", lambda context: context.set_shape("images", (99, 3, 640, 640))),
        ("set_tensor_address", lambda context: context.set_addresses({"images": 1})),
        ("execute_async_v3", lambda context: context.enqueue(Stream())),
    ],
)
def test_what_tensorrt_refuses_is_an_error(
    plan: Path, monkeypatch: pytest.MonkeyPatch, refused: str, call: Any
) -> None:
    engine, trt = load(plan, monkeypatch)
    raw = trt.made[0].next_context
    assert raw is not None
    context = engine.context(Stream(), 0x1000)  # type: ignore[arg-type]
    raw.refused.add(refused)
    with pytest.raises(GpuError, match="its log says why"):
        call(context)


def test_an_engine_that_does_not_load_is_refused(plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trt, "_deserialize", lambda _trt, _plan: None)
    with pytest.raises(ModelError, match=r"m\.engine can't be run by TensorRT 8\.5\.3\.1 on this GPU"):
        load(plan, monkeypatch)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("[defaultAllocator.cpp::allocate::20] Error Code 1: Cuda Runtime (out of memory)", OutOfMemoryError),
        (
            "Serialization (Serialization assertion stdVersionRead == serializationVersion failed.)",
            ModelError,
        ),
    ],
)
def test_a_full_gpu_is_no_fault_of_the_engine(
    plan: Path, monkeypatch: pytest.MonkeyPatch, said: str, error: type[Exception]
) -> None:
    """Else a good engine would be deleted, and systemd would not try again."""

    def refuse(_trt: Trt, _plan: bytes) -> None:
        journal.heard("ERROR", said)

    monkeypatch.setattr(Trt, "_deserialize", refuse)
    with pytest.raises(error) as raised:
        load(plan, monkeypatch)
    assert said in str(raised.value)
    assert ("delete it" in str(raised.value)) == (error is ModelError)


def test_an_engine_that_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="No such file"):
        load(tmp_path / "none.engine", monkeypatch)
