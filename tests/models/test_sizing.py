"""Where the size of a model's input comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from framelane.config.sections.model import ModelConfig
from framelane.core.errors import ModelError
from framelane.models.artifact import Artifact, TensorSpec
from framelane.models.sizing import size_wh


def found(shape: tuple[int | str, ...], size: Any = None, **metadata: str) -> tuple[int, int]:
    spec = TensorSpec("images", "float32", shape)
    artifact = Artifact(Path("m.onnx"), "0" * 12, metadata, (spec,), ())
    return size_wh(artifact, ModelConfig(path="m.onnx", size=size))


OPEN, FIXED = ("n", 3, "h", "w"), (1, 3, 480, 640)


@pytest.mark.parametrize("size", [None, [640, 480]])
def test_size_is_the_files_when_it_fixes_one(size: Any) -> None:
    assert found(FIXED, size, imgsz="[32, 32]") == (640, 480)


@pytest.mark.parametrize("size", [[480, 640], [640, 640]])
def test_another_size_is_refused_when_the_file_fixes_one(size: list[int]) -> None:
    with pytest.raises(ModelError) as caught:
        found(FIXED, size)
    assert f"`size: {size}` can't change what the file fixes" in str(caught.value)


def test_size_is_the_configured_one_before_the_exporters() -> None:
    assert found(OPEN, [640, 480], imgsz="[96, 64]") == (640, 480)


@pytest.mark.parametrize(("imgsz", "expected"), [("[480, 640]", (640, 480)), ("(32, 64)", (64, 32))])
def test_size_is_the_exporters_height_and_width_at_last(imgsz: str, expected: tuple[int, int]) -> None:
    assert expected == found(OPEN, imgsz=imgsz)


@pytest.mark.parametrize(
    "imgsz", ["", "640", "[640]", "[1, 2, 3]", "[", "640x480", "None", "['a', 'b']", "[[1], [2]]"]
)
def test_an_open_size_is_refused_when_the_exporters_note_makes_no_sense(imgsz: str) -> None:
    with pytest.raises(ModelError) as caught:
        found(OPEN, imgsz=imgsz)
    assert str(caught.value) == (
        "m.onnx takes images float32 [n, 3, h, w] and leaves the size open; "
        "set `size: [width, height]` to what it was trained on"
    )
