"""ONNX Runtime: batches, element types, threads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
from onnx import TensorProto, helper
from structlog.testing import capture_logs
from tests.models import tiny_models

from framelane.core.errors import ModelError
from framelane.models.artifact import Artifact
from framelane.models.onnx_session import MOST_LISTED, OnnxSession, divided

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float32]


def averaging(path: Path, batch: int | str) -> Path:
    """Gives each picture's mean color [n, 3, 1, 1]."""
    node = helper.make_node("GlobalAveragePool", ["images"], ["y"])
    return tiny_models.save_graph(path, [("images", TensorProto.FLOAT, [batch, 3, 8, 8])], [node])


def pictures(count: int) -> tuple[Array, Array]:
    levels = np.arange(3 * count, dtype=np.float32).reshape(count, 3)
    return np.repeat(levels, 64, axis=1).reshape(count, 3, 8, 8), levels


@pytest.mark.parametrize("batch", ["N", 1, 2, 4, 16])
@pytest.mark.parametrize("count", [1, 4, 7])
def test_run_gives_each_picture_its_own_output_whatever_batch_the_file_fixes(
    batch: int | str, count: int, tmp_path: Path
) -> None:
    session = OnnxSession(Artifact.open(averaging(tmp_path / "m.onnx", batch)))
    batch_in, levels = pictures(count)
    (output,) = session.run(batch_in)
    assert (count, 3, 1, 1) == output.shape
    np.testing.assert_allclose(output[:, :, 0, 0], levels, rtol=1e-6)


@pytest.mark.parametrize(("batch", "said"), [("N", 0), (1, 0), (4, 1)])
def test_open_says_once_that_the_batch_is_fixed(batch: int | str, said: int, tmp_path: Path) -> None:
    artifact = Artifact.open(averaging(tmp_path / "m.onnx", batch))
    with capture_logs() as logs:
        session = OnnxSession(artifact)
        session.run(pictures(3)[0])
        session.run(pictures(3)[0])
    assert said == len([entry for entry in logs if entry["event"] == "model_batch_fixed"])


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_run_returns_float32_whatever_the_type(dtype: str, tmp_path: Path) -> None:
    boxes = [tiny_models.Box((10, 10, 50, 60), 1, 0.75)]
    path = tiny_models.save(tmp_path / "m.onnx", [tiny_models.yolov8(boxes)], dtype=dtype)
    (output,) = OnnxSession(Artifact.open(path)).run(np.ones((2, 3, 128, 160), dtype))
    assert (np.float32, (2, 7, 420)) == (output.dtype, output.shape)
    assert output[1, 5, 0] == pytest.approx(0.75, abs=1e-3)


def test_run_serves_several_threads_at_once(tmp_path: Path) -> None:
    session = OnnxSession(Artifact.open(averaging(tmp_path / "m.onnx", "N")))
    wrong = []

    def work(count: int) -> None:
        batch, levels = pictures(count)
        if not all(np.allclose(session.run(batch)[0][:, :, 0, 0], levels) for _ in range(50)):
            wrong.append(count)

    threads = [threading.Thread(target=work, args=(count,)) for count in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_run_says_what_it_was_given_when_the_model_refuses(tmp_path: Path) -> None:
    session = OnnxSession(Artifact.open(averaging(tmp_path / "m.onnx", "N")))
    with pytest.raises(ModelError, match=r"m\.onnx can't run float32 \[2, 3, 9, 9\]: "):
        session.run(np.zeros((2, 3, 9, 9), np.float32))


def test_onnx_runtime_is_told_to_report_nothing_before_it_is_imported() -> None:
    code = (
        "import os, sys, framelane.inference\n"
        "assert 'onnxruntime' not in sys.modules\n"
        "import framelane.models.onnx_session\n"
        "print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    environ = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"


def test_divided_gives_each_image_its_rows() -> None:
    rows = np.array([[1, 5, 5, 9, 9, 0.9, 2], [0, 1, 1, 2, 2, 0.8, 1], [1, 6, 6, 8, 8, 0.7, 0]], np.float32)
    found = divided(rows, 3)
    assert found.shape == (3, MOST_LISTED, 6)
    assert found[1, :2, 0].tolist() == [5, 6]
    assert found[0, 0].tolist() == pytest.approx([1, 1, 2, 2, 0.8, 1])
    assert not found[2].any()
    assert not divided(np.empty((0, 7), np.float32), 1).any()
