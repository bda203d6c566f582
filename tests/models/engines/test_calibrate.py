"""Calibration images, and ranges of tensors over them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.models.engines.examples import fill_with_pictures

from framelane.core.errors import ModelError
from framelane.models.engines.calibrate import Histogram, batches_of, calibration_pictures, digest_of, ranges
from framelane.models.input.spec import InputSpec

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SPEC = InputSpec(32, 32, "rgb", 1 / 255, "center")


def range_of(*values: float) -> float:
    histogram = Histogram()
    histogram.add(np.array(values, np.float32))
    return histogram.range()


def empty_files(folder: Path, numbers: Iterable[int]) -> Path:
    for number in numbers:
        (folder / f"{number:04}.png").touch()
    return folder


def test_too_few_pictures_are_refused(tmp_path: Path) -> None:
    fill_with_pictures(tmp_path, 3)
    with pytest.raises(ModelError) as raised:
        calibration_pictures(tmp_path)
    assert str(raised.value) == (
        f"{tmp_path} holds 3 images (.bmp, .jpeg, .jpg, .png, .tif, .tiff, .webp); INT8 takes at least 128 images "
        "like those of your cameras"
    )


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as raised:
        calibration_pictures(tmp_path / "none")
    assert str(raised.value) == (
        f"{tmp_path}/none is not a folder; INT8 is calibrated with your own images, at least 128 of them"
    )


@pytest.mark.parametrize("count", [128, 512])
def test_all_pictures_are_taken_up_to_the_most(tmp_path: Path, count: int) -> None:
    assert len(calibration_pictures(empty_files(tmp_path, range(count)))) == count


@pytest.mark.parametrize("count", [513, 1000, 1024])
def test_more_pictures_are_spread_evenly_from_the_first_to_the_last(tmp_path: Path, count: int) -> None:
    numbers = [int(path.stem) for path in calibration_pictures(empty_files(tmp_path, range(count)))]
    assert (len(set(numbers)), numbers[0], numbers[-1], numbers) == (512, 0, count - 1, sorted(numbers))
    assert np.ptp(np.diff(numbers)) <= 1


def test_the_digest_is_of_the_pictures_not_of_their_names(tmp_path: Path) -> None:
    first = sorted(fill_with_pictures(tmp_path / "a", 3).iterdir())
    digest = digest_of(first)
    renamed = [each.rename(each.with_name(f"x{9 - index}.png")) for index, each in enumerate(first)]
    assert digest == digest_of(renamed)
    assert digest != digest_of(renamed[:2])


def test_batches_are_made_as_the_daemon_makes_them(tmp_path: Path) -> None:
    paths = sorted(fill_with_pictures(tmp_path, 128).iterdir())
    (tmp_path / "torn.png").write_bytes(b"")
    shapes = {batch.shape for batch in batches_of([*paths, tmp_path / "torn.png"], SPEC)}
    assert shapes == {(1, 3, 32, 32)}


def test_batches_are_refused_at_the_end_when_too_few_can_be_decoded(tmp_path: Path) -> None:
    paths = sorted(fill_with_pictures(tmp_path, 127).iterdir())
    (tmp_path / "torn.png").write_bytes(b"")
    with pytest.raises(ModelError) as raised:
        list(batches_of([*paths, tmp_path / "torn.png"], SPEC))
    assert str(raised.value) == ("only 127 of the images for INT8 can be decoded; at least 128 are needed")


def test_the_range_cuts_off_what_hardly_occurs() -> None:
    histogram = Histogram()
    histogram.add(np.random.default_rng(0).normal(0, 1, 1_000_000).astype(np.float32))
    histogram.add(np.array([200.0, -0.0, 0.0], np.float32))
    assert 4 < histogram.range() < 64
    empty = Histogram()
    empty.add(np.zeros(10, np.float32))
    assert empty.range() == 1.0


@pytest.mark.parametrize("value", [2.0**-63, 0.3, 1.0, -7.0, 1e30])
def test_the_range_of_one_value_is_the_value(value: float) -> None:
    assert range_of(*[value] * 10) == pytest.approx(abs(value), rel=0.02, abs=0)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), 2.0**-63 * 0.999, 1e-40])
def test_the_range_leaves_out_what_no_eight_bits_can_hold(value: float) -> None:
    assert range_of(value) == 1.0
    assert range_of(*[2.0] * 10, value) == pytest.approx(2.0, rel=0.02)


def test_the_range_is_that_of_all_values_however_they_come() -> None:
    values = np.random.default_rng(0).normal(size=(4, 8, 100)).astype(np.float32)
    once, parts = Histogram(), Histogram()
    once.add(values)
    for part in values.transpose(2, 1, 0):
        parts.add(part)
    assert once.range() == parts.range()


def test_ranges_are_of_inner_tensors_and_outputs_over_all_batches() -> None:
    model = scaled(1)
    done: list[int] = []
    pictures = [np.full((1, 3, 8, 8), value, np.float32) for value in (0.5, -0.25)]
    found = ranges(model, ["doubled", "raw", "doubled"], pictures, done.append)
    assert found == {"doubled": pytest.approx(1.0, rel=0.02), "raw": pytest.approx(2.0, rel=0.02)}
    assert done == [1, 2]


def test_a_fixed_batch_is_calibrated_too() -> None:
    model = scaled(2)
    picture = np.full((1, 3, 8, 8), 0.5, np.float32)
    assert ranges(model, ["images"], [picture]) == {"images": pytest.approx(0.5, rel=0.02)}


def scaled(batch: int) -> onnx.ModelProto:
    """images -> doubled -> raw, doubled again."""
    shape = [batch, 3, 8, 8]
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["images"] * 2, ["doubled"]),
            helper.make_node("Add", ["doubled"] * 2, ["raw"]),
        ],
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("raw", TensorProto.FLOAT, shape)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
