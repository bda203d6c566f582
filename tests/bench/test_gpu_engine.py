"""The benchmark of an engine, on a GPU that only takes notes: that it runs, and what it compares."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import orjson
import pytest
from tests.inference.cuda import fake_gpu

from framelane.bench import gpu_engine
from framelane.bench.errors import BenchError
from framelane.bench.gpu_engine import BARE, GRAPH, WHOLE, GpuOptions, bench_gpu_engine
from framelane.bench.null_model import SIDE, write_null_model
from framelane.bench.report import show
from framelane.gpu.trt.runtime import Engine, Tensor
from framelane.inference import model as model_module
from framelane.inference.cuda import tensorrt_model

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
    site = fake_gpu.FakeSite(journal)
    monkeypatch.setattr(gpu_engine, "CudaSite", lambda: site)
    for module in (model_module, gpu_engine):
        monkeypatch.setattr(module, "why_absent", lambda: None)
    monkeypatch.setattr(tensorrt_model, "ensure_engine", lambda *_args: SimpleNamespace(path=tmp_path))
    monkeypatch.setattr(Engine, "load", lambda _path: fake_gpu.FakeEngine(journal, TENSORS))

    model = write_null_model(tmp_path / "null.onnx")
    report = bench_gpu_engine(model, GpuOptions(slots=2), [1, 16], seconds=0.05)

    ways = [(each.way, each.batch, each.slots) for each in report.variants]
    assert ways == [(way, batch, 2) for batch in (1, 16) for way in (BARE, GRAPH, WHOLE)]
    assert all(each.images_s > 0 and each.latency_ms is not None for each in report.variants)
    assert report.memory_mb > 0
    assert journal.open == []
    assert site.closed
    show(report)
    assert "product's graph / bare loop" in capsys.readouterr().out
    orjson.dumps(report.as_dict())


def test_a_host_without_a_gpu_is_told_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_engine, "why_absent", lambda: "no NVIDIA driver")
    with pytest.raises(BenchError, match="nothing to measure: no NVIDIA driver"):
        bench_gpu_engine(tmp_path / "m.onnx", GpuOptions(), [1])
