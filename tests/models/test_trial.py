"""What a model makes of the trial pictures, and which of it can't be right."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from structlog.testing import capture_logs
from tests.models import tiny_models
from tests.models.heads.scenes import LABELS, PERSON, SCENE
from tests.models.tiny_models import Box

from framelane.config.sections.model import ModelConfig
from framelane.core.errors import ModelError
from framelane.inference.model import load_model
from framelane.models.input.spec import InputSpec
from framelane.models.trial import as_input, trial_pictures

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from framelane.inference.model import Model

    Array = NDArray[np.float32]

NAN = float("nan")
DEMO = files("framelane.demo") / "assets" / "framelane-demo.onnx"


def load(path: Path, *outputs: Array, **options: Any) -> Model:
    tiny_models.save(path / "m.onnx", outputs)
    return load_model("tiny", ModelConfig(path=str(path / "m.onnx"), **{"labels": LABELS, **options}))


def refusal(path: Path, *outputs: Array, **options: Any) -> str:
    with pytest.raises(ModelError) as caught:
        load(path, *outputs, **options)
    return str(caught.value).replace(str(path / "m.onnx"), "FILE")


def with_scores(values: float, head: str = "yolov8") -> Array:
    """Every score of every prediction has this value."""
    if head == "yolov8":
        output = tiny_models.yolov8(SCENE)
        output[:, 4:] = values
        return output
    output = tiny_models.decoded_rows(SCENE, anchors=3) if head == "yolov5" else tiny_models.yolox_raw(SCENE)
    output[..., 4:] = values
    return output


@pytest.mark.parametrize("head", ["yolov8", "yolov5", "yolox"])
def test_scores_that_are_not_numbers_are_refused(head: str, tmp_path: Path) -> None:
    message = refusal(tmp_path, with_scores(NAN, head))
    assert "scores that are NaN (not a number) or infinite for every trial picture; export" in message


def test_rows_of_nothing_but_nan_are_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, np.full((1, 300, 6), NAN, np.float32))
    assert message.startswith("FILE: output0 [1, 300, 6] holds")
    assert "NaN (not a number)" in message


@pytest.mark.parametrize(
    ("head", "value", "says"),
    [("yolov8", -8.0, "from -8 to -8"), ("yolov5", 3.5, "from 3.5 to 3.5"), ("yolox", -2.0, "from -2 to -2")],
)
def test_logits_are_refused(head: str, value: float, says: str, tmp_path: Path) -> None:
    message = refusal(tmp_path, with_scores(value, head))
    assert f"holds scores {says}, not from 0 to 1: they look like logits" in message


def test_a_single_score_above_one_is_refused(tmp_path: Path) -> None:
    output = tiny_models.end2end([Box((20, 30, 60, 90), 0, 3.0)])
    assert "scores from 0 to 3, not from 0 to 1" in refusal(tmp_path, output)


def test_rows_of_nothing_may_have_the_class_minus_one(tmp_path: Path) -> None:
    output = tiny_models.end2end(SCENE)
    output[0, len(SCENE) :, 5] = -1
    model = load(tmp_path, output)
    assert (model.head.name, model.doubts) == ("end2end", ())


@pytest.mark.parametrize("value", [0.0, 1.0, 1.004, -0.004])
def test_scores_that_rounding_takes_to_the_ends_of_the_range_are_not_refused(
    value: float, tmp_path: Path
) -> None:
    assert load(tmp_path, with_scores(value)).head.name == "yolov8"


@pytest.mark.parametrize("head", ["yolov8", "yolov5", "yolox-decoded"])
def test_boxes_in_parts_of_the_picture_are_refused_if_a_head_reads_pixels(head: str, tmp_path: Path) -> None:
    output = tiny_models.yolov8(SCENE)
    rows = tiny_models.decoded_rows(SCENE, anchors=3 if head == "yolov5" else 1)
    if head == "yolov8":
        output[:, :4] = np.linspace(0, 1, output.shape[2])
    else:
        output = rows
        output[..., :4] = np.linspace(0, 1, output.shape[1])[:, None]
    message = refusal(tmp_path, output, head=head)
    assert message == (
        f"FILE: output0 {list(output.shape)} holds boxes within 0..1, but the head `{head}` reads pixels of a "
        "160x128 picture; export the model with boxes in pixels"
    )


def test_boxes_that_overflow_here_and_there_are_not_refused(tmp_path: Path) -> None:
    """Half precision does that; such boxes are left out one by one."""
    output = tiny_models.yolov8(SCENE)
    output[0, 0, 100:120] = np.inf
    output[0, 1, 110:130] = np.nan
    assert load(tmp_path, output).doubts == ()


@pytest.mark.parametrize("head", ["yolov8", "yolov5", "yolox"])
def test_scores_that_are_all_zero_are_told_but_not_refused(head: str, tmp_path: Path) -> None:
    with capture_logs() as logs:
        model = load(tmp_path, with_scores(0.0, head))
    (doubt,) = model.doubts
    assert doubt.endswith(
        "are 0 for every trial picture, so it may find nothing at all; "
        "check whether quantization or conversion has broken it"
    )
    (entry,) = (entry for entry in logs if entry["event"] == "model_doubtful")
    assert (entry["log_level"], entry["model"], entry["text"]) == ("warning", "tiny", doubt)


def test_an_objectness_that_is_always_zero_is_told(tmp_path: Path) -> None:
    output = tiny_models.decoded_rows(SCENE, anchors=3)
    output[..., 4] = 0
    (doubt,) = load(tmp_path, output).doubts
    assert doubt.startswith("all scores in output0 [1, 1260, 8] are 0")


def test_a_model_that_suppresses_by_itself_and_finds_nothing_is_told_but_not_refused(tmp_path: Path) -> None:
    model = load(tmp_path, tiny_models.end2end([]))
    (doubt,) = model.doubts
    assert doubt.startswith("output0 [1, 300, 6] holds no detections for any trial picture")
    assert model.head.name == "end2end"


def test_a_faint_detector_raises_no_doubt(tmp_path: Path) -> None:
    """As a network with random weights is."""
    assert load(tmp_path, with_scores(0.0002)).doubts == ()


def test_the_trial_pictures_show_what_a_detector_finds() -> None:
    model = load_model("demo", ModelConfig(path=str(DEMO), backend="onnxruntime"))
    outputs = model.infer(as_input(model.input))
    street, mirrored, noise = model.head.raw(outputs).confidence
    assert (street > 0.5).sum() > 10
    assert (mirrored > 0.5).sum() > 10
    assert noise.max() < street.max()


@pytest.mark.parametrize("size_wh", [(160, 128), (96, 640)])
def test_trial_pictures_are_a_street_its_mirror_image_and_noise(size_wh: tuple[int, int]) -> None:
    street, mirrored, noise = trial_pictures(size_wh)
    assert street.shape == noise.shape == (3, size_wh[1], size_wh[0])
    np.testing.assert_array_equal(street[..., ::-1], mirrored)
    assert len(np.unique(street)) > 100


@pytest.mark.parametrize(("color", "scale", "dtype"), [("rgb", 1 / 255, "float16"), ("bgr", 1.0, "float32")])
def test_trial_pictures_are_prepared_as_the_model_wants_them(color: Any, scale: float, dtype: Any) -> None:
    spec = InputSpec(160, 128, color, scale, "center", dtype=dtype)
    batch = as_input(spec)
    assert (batch.shape, batch.dtype) == ((3, 3, 128, 160), dtype)
    red = trial_pictures((160, 128))[0, 0]
    np.testing.assert_allclose(batch[0, 0 if color == "rgb" else 2], red * scale, rtol=1e-3)


def test_a_forced_head_is_judged_too(tmp_path: Path) -> None:
    assert "they look like logits" in refusal(tmp_path, with_scores(-8.0), head="yolov8")
    assert load(tmp_path, tiny_models.yolov8([PERSON]), head="yolov8").head.name == "yolov8"
