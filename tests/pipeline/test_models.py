"""The models of a process: which are loaded and when, and that none is left open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.models import tiny_models

from framelane.config.yaml.load import parse_config
from framelane.core.clock import SystemClock
from framelane.core.errors import ModelError
from framelane.footage.footage import Footage
from framelane.inference.backends.cuda.shared_gpu import SharedGpu
from framelane.messages.detections import Origin
from framelane.pipeline.models import ModelPool
from framelane.telemetry.meters import Meters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from framelane.config.sections.schema import Config

BOX = tiny_models.Box((16.0, 16.0, 64.0, 96.0), class_id=0, score=0.9)
WAIT_S = 30.0


class Events:
    """Takes what happens to objects."""

    def take(self, happenings: Any) -> None:
        raise AssertionError(f"nothing happens here: {happenings}")


class Rig:
    """A pool, and configurations for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meters = Meters()
        self.fatal: list[Exception] = []
        clock, origin = SystemClock(), Origin("node", "run-1")
        footage = Footage(self.config("tiny"), "node", lambda _message: None, clock, Events())
        self.pool = ModelPool(SharedGpu(0), self.meters, clock, self.fatal.append, origin, footage)

    def config(self, *used: str, enabled: bool = True) -> Config:
        """A configuration with a stream for each of these models."""
        streams = [
            f"{{id: s{number}, url: x.mp4, model: {name}, enabled: {str(enabled).lower()}}}"
            for number, name in enumerate(used)
        ]
        text = f"""
jsonl: {{path: out.jsonl}}
models: {{tiny: {{path: tiny.onnx, slots: 2}}, other: {{path: other.onnx}}, bad: {{path: bad.onnx}}}}
streams: [{", ".join(streams)}]
"""
        return parse_config(text, self.folder, {})

    def use(self, *used: str) -> None:
        config = self.config(*used)
        self.pool.load(config)
        self.pool.start(config.models)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    for name in ("tiny", "other"):
        outputs = [np.asarray(tiny_models.yolov8([BOX]))]
        tiny_models.save(tmp_path / f"{name}.onnx", outputs, metadata=tiny_models.NAMES)
    (tmp_path / "bad.onnx").write_text("no model")
    made = Rig(tmp_path)
    yield made
    assert made.pool.stop(lambda: WAIT_S)
    made.pool.close()
    assert made.fatal == []


def test_only_models_that_a_stream_names_are_loaded(rig: Rig) -> None:
    rig.use("tiny")
    assert rig.pool.labels == {"tiny": ("person", "bicycle", "car")}
    assert (list(rig.pool.workers), list(rig.pool.sections)) == (["tiny"], ["tiny"])


def test_models_of_disabled_streams_are_not_loaded(rig: Rig) -> None:
    rig.pool.load(rig.config("bad", enabled=False))
    assert rig.pool.labels == {}


def test_every_model_is_loaded_where_streams_come_later(rig: Rig) -> None:
    with pytest.raises(ModelError, match=r"bad\.onnx"):
        rig.pool.load(rig.config("tiny", enabled=False), every_model=True)
    assert set(rig.pool.labels) == {"tiny", "other"}


def test_slots_are_those_of_the_models_section_and_are_measured(rig: Rig) -> None:
    rig.use("tiny")
    assert rig.pool.workers["tiny"].slots == 2
    assert rig.meters.snapshot().models["tiny"].slots == 2


def test_model_that_no_stream_uses_any_more_stays_loaded(rig: Rig) -> None:
    rig.use("tiny")
    before = rig.pool.workers
    rig.use("other")
    assert list(rig.pool.workers) == ["tiny", "other"]
    assert rig.pool.workers["tiny"] is before["tiny"]
    # Other threads may be iterating over it.
    assert list(before) == ["tiny"]


def test_model_of_a_refused_change_is_loaded_again_by_the_next(rig: Rig) -> None:
    """The next change may configure it differently."""
    rig.use("tiny")
    rig.pool.load(rig.config("tiny", "other"))
    refused = rig.pool._models["other"]
    with pytest.raises(ModelError):
        rig.pool.load(rig.config("tiny", "other", "bad"))
    assert rig.pool._models["other"] is not refused
    rig.use("tiny")
    assert set(rig.pool.labels) == {"tiny"}
