"""The committed examples, tables and JSON Schema say what the code says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

import write_config_docs
from framelane.config.explain.jsonschema import json_schema
from framelane.config.sections.model import ModelConfig
from framelane.config.sections.mqtt import MqttConfig
from framelane.config.sections.node import NodeConfig
from framelane.config.sections.schema import Config
from framelane.config.sections.section import Section
from framelane.config.sections.stream import StreamConfig, StreamOptions
from framelane.config.yaml.load import check_text, parse_config

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = sorted((ROOT / "configs").glob("*.yaml"))
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


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.name))
def test_examples_satisfy_the_json_schema(path: Path) -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    assert [
        error.message for error in validator.iter_errors(yaml.safe_load(path.read_text(encoding="utf-8")))
    ] == []


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({"streams": [{"id": "a", "url": "x", "fps": "${FPS:-5}"}]}, True),
        ({"streams": [{"id": "a", "url": "x", "fps": "five"}]}, False),
        ({"streams": [{"id": "a", "url": "x", "fpz": 5}]}, False),
        ({"streams": [{"id": "a", "url": "x", "confidence": {"car": 0.5}, "model": ["m"]}]}, True),
        ({"streams": [{"id": "a", "url": "x", "confidence": {"car": 5}}]}, False),
        ({"log": {"level": "${LEVEL}"}}, True),
        ({"log": {"level": "loud"}}, False),
        ({"x-anchors": {"a": 1}}, True),
        ({"streams": []}, False),
    ],
)
def test_json_schema_accepts_what_the_loader_accepts(change: dict[str, Any], valid: bool) -> None:  # noqa: FBT001 - a case of the table
    data = {"models": {"m": {"path": "m.onnx"}}, "streams": [{"id": "a", "url": "x"}], **change}
    assert jsonschema.Draft202012Validator(json_schema()).is_valid(data) == valid


def test_json_schema_is_one_and_readable() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"].startswith("https://")
    assert set(schema["$defs"]) >= {
        "node",
        "mqtt",
        "tls",
        "model",
        "stream",
        "defaults",
        "backoff",
        "variable",
    }
    assert schema["$defs"]["stream"]["properties"]["url"]["writeOnly"] is True
    undescribed = [
        f"{name}.{key}"
        for name, section in schema["$defs"].items()
        for key, value in section.get("properties", {}).items()
        if not value.get("description")
    ]
    assert undescribed == []
