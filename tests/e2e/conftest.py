"""What the daemon needs around it: models, clips with their truth, cameras and brokers."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.models import tiny_models
from tests.neighbours.clips import ClipShape, draw_clip

from framelane.demo.clips import ClipTruth, write_clip
from framelane.demo.scene import Scene

if TYPE_CHECKING:
    from pathlib import Path

CLIP_S = 4.0
TINY_BOXES = (
    tiny_models.Box((16.0, 16.0, 64.0, 96.0), class_id=0, score=0.9),
    tiny_models.Box((80.0, 32.0, 144.0, 80.0), class_id=2, score=0.6),
    tiny_models.Box((96.0, 88.0, 112.0, 120.0), class_id=0, score=0.5),
)


@dataclass(frozen=True)
class Material:
    """Files for a test run.

    `street` is a rendered street at 640 x 480 with its truth, `plain` and `wide` are gradients; `demo` is the demo's
    model, `tiny` finds TINY_BOXES (in 160 x 128 pixels) on every picture.
    """

    folder: Path
    street: Path
    truth: ClipTruth
    plain: Path
    wide: Path
    demo: Path
    tiny: Path


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    folder = tmp_path_factory.mktemp("e2e")
    street = folder / "street.mp4"
    truth = write_clip(street, Scene(31), seconds=CLIP_S)
    tiny = tiny_models.save(
        folder / "tiny.onnx",
        [np.asarray(tiny_models.yolov8(TINY_BOXES))],
        metadata={**tiny_models.NAMES, "task": "detect", "stride": "32"},
    )
    return Material(
        folder,
        street,
        truth,
        draw_clip(folder, "h264", ClipShape(320, 256, 50, 25)),
        draw_clip(folder, "h264", ClipShape(480, 384, 50, 25)),
        folder.__class__(str(files("framelane.demo") / "assets" / "framelane-demo.onnx")),
        tiny,
    )
