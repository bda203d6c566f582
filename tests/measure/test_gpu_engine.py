"""The benchmark of an engine, on a GPU that only takes notes: that it runs, and what it compares."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import orjson
import pytest
from tests.inference.backends.cuda import fake_gpu

from framelane.gpu.trt.runtime import Engine, Tensor
from framelane.inference import model as model_module
from framelane.inference.backends.cuda import backend
from framelane.measure import gpu_engine
from framelane.measure.errors import BenchError
from framelane.measure.gpu_engine import BARE, GRAPH, WHOLE, GpuOptions, bench_gpu_engine
from framelane.measure.report import show
from lab.null_model import SIDE, write_null_model

if TYPE_CHECKING:
    from pathlib import Path

TENSORS = (
    Tensor("images", "float16", (-1, 3, SIDE, SIDE), is_input=True),
    Tensor("output0", "float32", (-1, 5, 2100), is_input=False),
)


def test_engine_is_measured_bare_and_as_the_product_runs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = fake_gpu.install(monkeypatch)
    gpu = fake_gpu.FakeGpu(journal)
    monkeypatch.setattr(gpu_engine, "SharedGpu", lambda: gpu)
    for module in (model_module, gpu_engine):
        monkeypatch.setattr(module, "why_absent", lambda: None)
    monkeypatch.setattr(backend, "ensure_engine", lambda *_args: SimpleNamespace(path=tmp_path))
    monkeypatch.setattr(Engine, "load", lambda _path: fake_gpu.FakeEngine(journal, TENSORS))

    model = write_null_model(tmp_path / "null.onnx")
    report = bench_gpu_engine(model, GpuOptions(slots=2), [1, 16], seconds=0.05)

    ways = [(each.way, each.batch, each.slots) for each in report.variants]
    assert ways == [(way, batch, 2) for batch in (1, 16) for way in (BARE, GRAPH, WHOLE)]
    assert all(each.images_s > 0 and each.latency_ms is not None for each in report.variants)
    assert report.memory_mb > 0
    assert journal.open == []
    assert gpu.closed
    show(report)
    assert "product's graph / bare loop" in capsys.readouterr().out
    orjson.dumps(report.as_dict())


def test_a_host_without_a_gpu_is_told_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_engine, "why_absent", lambda: "no NVIDIA driver")
    with pytest.raises(BenchError, match="nothing to measure: no NVIDIA driver"):
        bench_gpu_engine(tmp_path / "m.onnx", GpuOptions(), [1])
