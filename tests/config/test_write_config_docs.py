"""The committed examples and tables say what the code says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

import write_config_docs
from framelane.config.sections.model import ModelConfig
from framelane.config.sections.mqtt import MqttConfig
from framelane.config.sections.node import NodeConfig
from framelane.config.sections.schema import Config
from framelane.config.sections.section import Section
from framelane.config.sections.stream import StreamConfig, StreamOptions
from framelane.config.yaml.load import check_text, parse_config

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
ENVIRON = {"LOBBY_PW": "hunter2hunter2"}


@pytest.fixture
def with_model(tmp_path: Path) -> Path:
    """A folder where the examples find their model."""
    model = tmp_path / "models" / "yolox_nano.onnx"
    model.parent.mkdir()
    model.touch()
    return tmp_path


@pytest.mark.parametrize("path", list(write_config_docs.outputs()), ids=lambda path: str(path.name))
def test_committed_file_equals_what_the_generator_writes(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == write_config_docs.outputs()[path]


@pytest.mark.parametrize("name", ["example.yaml", "minimal.yaml"])
def test_example_has_neither_findings_nor_warnings(with_model: Path, name: str) -> None:
    report = check_text((ROOT / "configs" / name).read_text(encoding="utf-8"), with_model, ENVIRON)
    assert (report.findings, report.warnings) == ([], [])


def test_example_has_every_key() -> None:
    example = yaml.safe_load(write_config_docs.EXAMPLE.read_text(encoding="utf-8"))
    assert set(example) == set(Config.model_fields)
    assert set(example["node"]) == set(NodeConfig.model_fields)
    assert set(example["mqtt"]) == set(MqttConfig.model_fields)
    assert set(example["defaults"]) == set(StreamOptions.model_fields)
    assert set(example["defaults"]) | set(example["streams"][0]) == set(StreamConfig.model_fields)
    assert set(example["models"]["yolox"]) == set(ModelConfig.model_fields)


def test_example_equals_the_defaults_of_the_code(with_model: Path) -> None:
    config = parse_config(write_config_docs.EXAMPLE.read_text(encoding="utf-8"), with_model, {})
    assert dict(_differences(config)) == {
        "node.id": "gate-01",
        "mqtt.url": "mqtt://127.0.0.1:1883",
        "jsonl.path": "-",
        "models.yolox.path": str(with_model / "models/yolox_nano.onnx"),
        "models.yolox.engine.folder": str(with_model / "engines"),
        "streams[0].id": "lobby",
        "streams[0].url": "rtsp://127.0.0.1:8554/lobby",
        "streams[0].model": "yolox",
    }


def _differences(section: Section, path: str = "") -> Iterator[tuple[str, object]]:
    """Values of a section, at any depth, that are not the code's defaults."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _differences(value, f"{path}{name}.")
        elif name in ("models", "streams"):
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            for key, item in pairs:
                place = f"{name}.{key}." if isinstance(key, str) else f"{name}[{key}]."
                yield from _differences(item, place)
        elif value != field.get_default(call_default_factory=True):
            yield f"{path}{name}", value.get_secret_value() if hasattr(value, "get_secret_value") else value
