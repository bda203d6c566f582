"""The labels that a check can know without reading a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from framelane.config.checks.labels import known_labels
from framelane.config.sections.schema import Config

if TYPE_CHECKING:
    from pathlib import Path


def config(**labels: Any) -> Config:
    """A model for each keyword, with these labels."""
    models = {name: {"path": "m.onnx", "labels": each} for name, each in labels.items()}
    return Config.model_validate(
        {
            "models": models,
            "mqtt": {"url": "mqtt://127.0.0.1"},
            "streams": [{"id": "lobby", "url": "rtsp://10.0.0.7/1", "model": next(iter(models))}],
        }
    )


def test_labels_of_several_models_are_joined(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("cat\ndog\n\n")
    found = known_labels(config(a=["person", "car"], b=str(file)), ["a", "b"])
    assert found == ["person", "car", "cat", "dog"]


@pytest.mark.parametrize(
    "labels",
    ["auto", "coco", "/nonexistent/labels.txt", "binary"],
    ids=["model", "built in", "no file", "no text"],
)
def test_labels_are_unknown_as_a_whole_if_one_model_keeps_its_own(tmp_path: Path, labels: str) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    value = str(tmp_path / "binary") if labels == "binary" else labels
    made = config(a=["person"], b=value)
    assert known_labels(made, ["a", "b"]) is None
    assert known_labels(made, ["a"]) == ["person"]


def test_labels_of_a_model_that_the_file_does_not_have_are_unknown() -> None:
    assert known_labels(config(a=["person"]), ["a", "misspelt"]) is None
