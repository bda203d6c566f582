"""Keys: what changes them, what an engine may serve, and in what words they differ."""

from __future__ import annotations

from typing import Any

import pytest
from tests.models.engines.examples import PARTS, SIZE, parts

from framelane.models.engines.profiles import Profile

WIDER = Profile((1, 8, 32), ((320, 320), (416, 416), (640, 640)))
CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"onnx": "cd" * 32}, "model file abababababab -> cdcdcdcdcdcd"),
    ({"tensorrt": "8.6.1"}, "TensorRT 8.5.3.1 -> 8.6.1"),
    ({"gpu": "NVIDIA L4"}, "GPU NVIDIA H200 -> NVIDIA L4"),
    ({"capability": (8, 9)}, "compute capability 9.0 -> 8.9"),
    ({"precision": "int8"}, "precision fp16 -> int8"),
    ({"profile": Profile((1, 32, 32), SIZE)}, "batch 1:16:16 -> 1:32:32"),
    ({"profile": Profile((1, 16, 16), ((640, 640),) * 3)}, "size 416x416 -> 640x640"),
    ({"calibration": "123456789abc"}, "calibration pictures none -> 123456789abc"),
    ({"converter": 99}, "converter 1 -> 99"),
]


@pytest.mark.parametrize(("change", "words"), CHANGES)
def test_every_part_changes_the_key_and_is_named(change: dict[str, Any], words: str) -> None:
    wanted = parts(**change)
    assert wanted.key != PARTS.key
    assert PARTS.differences(wanted) == [words]
    assert not PARTS.serves(wanted)


def test_the_key_is_the_same_for_the_same_parts() -> None:
    assert PARTS.key == parts().key
    assert len(PARTS.key) == 12
    assert PARTS.differences(parts()) == []


def test_a_wider_profile_serves_and_a_narrower_one_does_not() -> None:
    assert parts(profile=WIDER).serves(PARTS)
    assert not PARTS.serves(parts(profile=WIDER))


def test_any_calibration_serves_where_none_is_asked_for() -> None:
    calibrated = parts(precision="int8", calibration="123456789abc")
    assert calibrated.serves(parts(precision="int8"))
    assert not calibrated.serves(parts(precision="int8", calibration="ffff"))
