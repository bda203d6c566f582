"""How images are prepared, by the model's section and by its file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.models import tiny_models
from tests.models.heads.scenes import SCENE, load, refusal

from framelane.config.sections.input import InputConfig
from framelane.core.errors import ModelError
from framelane.models.input.preparation import Preparation
from framelane.models.input.spec import InputSpec

if TYPE_CHECKING:
    from pathlib import Path

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
SPEC = InputSpec(160, 128, "rgb", 1 / 255, "center")


def prepared(metadata: dict[str, str] | None = None, **config: Any) -> InputSpec:
    notes = {f"model_info {key}": value for key, value in (metadata or {}).items()}
    return Preparation.of(InputConfig(**config), notes, "FILE").applied(SPEC)


def test_nothing_is_changed_that_nobody_sets() -> None:
    assert prepared() == SPEC


@pytest.mark.parametrize(
    ("config", "field", "expected"),
    [
        ({"resize": "stretch"}, "placement", "stretch"),
        ({"resize": "letterbox"}, "placement", "center"),
        ({"resize": "letterbox-topleft"}, "placement", "topleft"),
        ({"color": "bgr"}, "color", "bgr"),
        ({"scale": 1}, "scale", 1),
        ({"mean": MEAN}, "mean", (0.485, 0.456, 0.406)),
        ({"std": STD}, "std", (0.229, 0.224, 0.225)),
        ({"pad": 0}, "pad", 0),
    ],
)
def test_the_section_sets_each_field_alone(config: dict[str, Any], field: str, expected: object) -> None:
    found = prepared(**config)
    changed = {name for name in SPEC.__slots__ if getattr(found, name) != getattr(SPEC, name)}
    assert getattr(found, field) == expected
    assert changed <= {field}


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        ({"resize_type": "standard"}, {"placement": "stretch"}),
        ({"resize_type": "fit_to_window"}, {"placement": "topleft"}),
        ({"resize_type": "fit_to_window_letterbox", "pad_value": "0"}, {"placement": "center", "pad": 0}),
        ({"reverse_input_channels": "True"}, {"color": "rgb"}),
        ({"reverse_input_channels": "False"}, {"color": "bgr"}),
        ({"scale_values": "255"}, {"scale": 1.0, "mean": (0, 0, 0), "std": (255, 255, 255)}),
        (
            {"mean_values": "123.675, 116.28, 103.53", "scale_values": "58.395 57.12 57.375"},
            {"scale": 1.0, "mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)},
        ),
    ],
)
def test_the_files_notes_are_those_of_the_model_api(
    notes: dict[str, str], expected: dict[str, object]
) -> None:
    found = prepared(notes)
    assert {name: getattr(found, name) for name in expected} == expected


def test_the_section_overrides_the_files_notes() -> None:
    found = prepared({"resize_type": "crop", "reverse_input_channels": "no"}, resize="stretch", color="rgb")
    assert (found.placement, found.color) == ("stretch", "rgb")


@pytest.mark.parametrize(
    ("notes", "says"),
    [
        (
            {"resize_type": "crop"},
            "FILE notes the resize_type `crop`, which Framelane lacks; set `input.resize`",
        ),
        ({"mean_values": "1 2"}, "FILE notes how to prepare images in a way that can't be read"),
        ({"pad_value": "gray"}, "FILE notes how to prepare images in a way that can't be read"),
    ],
)
def test_notes_that_can_not_be_read_are_refused(notes: dict[str, str], says: str) -> None:
    with pytest.raises(ModelError) as caught:
        prepared(notes)
    assert str(caught.value).startswith(says)


def test_a_model_of_bytes_can_not_be_scaled(tmp_path: Path) -> None:
    tiny_models.save(tmp_path / "m.onnx", [tiny_models.yolov8(SCENE)], dtype="uint8")
    with pytest.raises(ModelError, match=r"takes bytes and scales them itself; remove `input\.scale`"):
        load(tmp_path / "m.onnx", input={"mean": MEAN})


def test_a_loaded_model_is_prepared_as_its_section_says(tmp_path: Path) -> None:
    path = tiny_models.save(tmp_path / "m.onnx", [tiny_models.yolox_raw(SCENE)])
    spec = load(path, input={"resize": "stretch", "color": "rgb", "scale": 1 / 255, "mean": MEAN}).input
    assert (spec.placement, spec.color) == ("stretch", "rgb")
    np.testing.assert_allclose(spec.offsets, -np.array(MEAN), rtol=1e-6)


def test_an_unreadable_note_of_a_file_names_it(tmp_path: Path) -> None:
    notes = {"model_info resize_type": "crop"}
    assert refusal(tmp_path, [tiny_models.yolov8(SCENE)], notes).startswith("FILE notes the resize_type")
