"""Inspections: the same verdicts as a start, with everything that was found out before them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pytest
from tests.fuzz.byte_damage import BYTE_DAMAGES
from tests.models import tiny_models
from tests.models.batch_models import reshaped, save_batches
from tests.models.test_artifact import write_opset, write_two_inputs, write_without_weights

from framelane.config.built_in_models import BUILT_IN_MODELS
from framelane.config.sections.model import ModelConfig
from framelane.core.errors import ModelError
from framelane.inference.model import load_model
from framelane.models.inspection import Inspection, inspect_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BOX = tiny_models.Box((16.0, 16.0, 64.0, 96.0), class_id=0, score=0.9)
SIZE = {"size": [160, 128]}


def inspected(path: Path, **options: Any) -> Inspection:
    return inspect_model(ModelConfig.model_validate({"path": str(path), **options}))


def refusal(path: Path, **options: Any) -> str | None:
    """What a start says of the same file."""
    section = {"path": str(path), "backend": "onnxruntime", **options}
    try:
        load_model("m", ModelConfig.model_validate(section)).close()
    except ModelError as error:
        return str(error)
    return None


def write_good(path: Path) -> None:
    tiny_models.save(path, [tiny_models.yolov8([BOX])], metadata=tiny_models.NAMES)


def write_unknown(path: Path) -> None:
    tiny_models.save(path, [np.zeros((1, 7, 3, 5), np.float32)])


def write_logits(path: Path) -> None:
    tiny_models.save(path, [tiny_models.yolov8([BOX]) - 5], metadata=tiny_models.NAMES)


def write_nameless(path: Path) -> None:
    tiny_models.save(path, [tiny_models.yolov8([BOX])])


def write_pose(path: Path) -> None:
    metadata = {**tiny_models.NAMES, "task": "pose"}
    tiny_models.save(path, [tiny_models.yolov8([BOX])], metadata=metadata)


def write_text(path: Path) -> None:
    path.write_text("no model\n" * 10)


WRITERS: list[tuple[Callable[[Path], object], dict[str, bool]]] = [
    # What is known of each file: header, hash, shapes, head, labels.
    (write_good, {"header": True, "hash": True, "shapes": True, "head": True, "labels": True}),
    (write_nameless, {"header": True, "hash": True, "shapes": True, "head": True, "labels": False}),
    (write_logits, {"header": True, "hash": True, "shapes": True, "head": False, "labels": False}),
    (write_unknown, {"header": True, "hash": True, "shapes": True, "head": False, "labels": False}),
    (write_pose, {"header": True, "hash": True, "shapes": True, "head": False, "labels": False}),
    (write_two_inputs, {"header": True, "hash": True, "shapes": False, "head": False, "labels": False}),
    (write_opset, {"header": True, "hash": False, "shapes": False, "head": False, "labels": False}),
    (write_without_weights, {"header": True, "hash": False, "shapes": False, "head": False, "labels": False}),
    (write_text, {"header": False, "hash": False, "shapes": False, "head": False, "labels": False}),
]


@pytest.mark.parametrize(("write", "known"), WRITERS)
def test_an_inspection_keeps_what_is_known_and_ends_as_a_start_does(
    tmp_path: Path, write: Callable[[Path], object], known: dict[str, bool]
) -> None:
    path = tmp_path / "m.onnx"
    write(path)
    found = inspected(path, **SIZE)
    assert {name: bool(getattr(found, name)) for name in known} == known
    assert found.error == refusal(path, **SIZE)
    assert bool(found.attempts) == known["shapes"]
    assert bool(found.inputs) == known["header"]
    orjson.dumps(found.as_dict())


def test_a_good_model_is_described_whole(tmp_path: Path) -> None:
    write_good(tmp_path / "m.onnx")
    found = inspected(tmp_path / "m.onnx").as_dict()
    wanted = {
        "head": "yolov8",
        "reads": "output0",
        "suppresses": True,
        "classes": 3,
        "labels": ("person", "bicycle", "car"),
        "shapes": {"output0": (1, 7, 420)},
        "fixed_batch": None,
        "most_batch": 4,
        "found": {"person": 1},
        "doubts": [],
        "error": None,
    }
    assert {key: found[key] for key in wanted} == wanted
    assert found["input"] == {
        "width": 160, "height": 128, "color": "rgb", "scale": 1 / 255, "placement": "center", "pad": 114,
        "dtype": "float32", "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0),
    }  # fmt: skip


def test_the_model_that_comes_with_framelane_finds_the_trial_street() -> None:
    found = inspected(BUILT_IN_MODELS["demo"])
    assert found.error is None
    assert found.found.keys() == {"person", "car", "bicycle"}


def test_options_are_those_of_the_models_section(tmp_path: Path) -> None:
    path = tiny_models.save(
        tmp_path / "m.onnx",
        [tiny_models.yolov8([BOX])],
        metadata=tiny_models.NAMES,
        shape=["n", 3, "h", "w"],
    )
    assert "leaves the size open" in str(inspected(path).error)
    assert inspected(path, **SIZE).error is None
    assert "not `head: yolox`" in str(inspected(path, head="yolox", **SIZE).error)
    assert inspected(path, labels=["a", "b", "c"], **SIZE).found == {"a": 1}


def test_a_batch_that_fails_is_a_doubt_because_batches_of_one_run(tmp_path: Path) -> None:
    save_batches(tmp_path / "m.onnx", reshaped(1, 300, -1), tiny_models.end2end([BOX]))
    found = inspected(tmp_path / "m.onnx", labels=["a", "b", "c"], **SIZE)
    assert (found.error, found.most_batch) == (None, None)
    assert "not one row for each" in found.doubts[0]


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_file_is_inspected_or_refused(
    tmp_path: Path, seed: int, capfd: pytest.CaptureFixture[str]
) -> None:
    dice = random.Random(seed)
    path = tmp_path / "m.onnx"
    write_good(path)
    whole = path.read_bytes()
    # The last bytes hold the names and shapes of inputs and outputs.
    damaged = dice.choice(BYTE_DAMAGES)(dice, whole[-400:])
    path.write_bytes(whole[:-400] + damaged)
    found = inspected(path, **SIZE)
    assert found.error is None or str(path) in found.error
    assert capfd.readouterr().out == ""
