"""The shipped demo model is small, described, and finds what the renderer drew."""

from __future__ import annotations

import ast
from pathlib import Path

import av
import numpy as np
import onnxruntime
import pytest

import framelane
from eval_demo_model import Detector, Tally, pairwise_iou
from framelane.demo.scene import CLASS_NAMES, Scene

MODEL = Path(framelane.__file__).parent / "demo" / "assets" / "framelane-demo.onnx"


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(MODEL), options, providers=["CPUExecutionProvider"])


def test_model_is_small_when_shipped() -> None:
    assert MODEL.stat().st_size <= 3_000_000


def test_model_describes_itself_when_inspected(session: onnxruntime.InferenceSession) -> None:
    notes = session.get_modelmeta().custom_metadata_map
    assert dict(enumerate(CLASS_NAMES)) == ast.literal_eval(notes["names"])
    assert (notes["imgsz"], notes["stride"], notes["task"]) == ("[320, 320]", "32", "detect")
    assert notes["license"] == "Apache-2.0"
    assert "train_demo_model.py" in notes["provenance"]


def test_model_takes_any_batch_when_run(session: onnxruntime.InferenceSession) -> None:
    assert session.get_inputs()[0].shape == ["batch", 3, 320, 320]
    for batch in (1, 3):
        blob = np.zeros((batch, 3, 320, 320), np.float32)
        assert session.run(None, {"images": blob})[0].shape == (batch, 7, 2100)


@pytest.mark.parametrize(("seed", "t_s"), [(24, 7.0), (1, 1.0)])
def test_model_finds_the_objects_when_shown_an_unseen_scene(seed: int, t_s: float) -> None:
    image, truth = Scene(seed).render(t_s)
    found = Detector(MODEL)(av.VideoFrame.from_ndarray(image, format="bgr24"), 0.4)
    tally = Tally([])
    tally.add(found, truth)
    asked = int((~truth.ignore).sum())
    assert asked >= 4
    assert len(tally.matched_iou) >= 0.8 * asked
    assert np.mean(tally.matched_iou) >= 0.8
    assert pairwise_iou(found.xyxy, found.xyxy).diagonal() == pytest.approx(1.0, abs=1e-4)
