"""The JSON Schema of the configuration: an editor accepts and refuses what the loader does, and explains every key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from framelane.config.explain.jsonschema import json_schema

EXAMPLES = sorted((Path(__file__).resolve().parents[3] / "configs").glob("*.yaml"))


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


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({"streams": [], "streams_dir": "streams.d"}, True),
        ({"streams": [], "http": {"listen": "127.0.0.1:8080"}}, True),
        ({"streams": [], "http": {"token": "x"}}, False),
        ({"streams": [{"id": "a", "url": "x", "track": "${TRACK}"}]}, True),
        ({"streams": [{"id": "a", "url": "x", "track": "$TRACK"}]}, False),
        ({"streams": [{"id": "a", "url": "x", "decode": "${DECODE:-auto}"}]}, True),
    ],
)
def test_streams_may_come_later_and_any_value_from_the_environment(
    change: dict[str, Any], *, valid: bool
) -> None:
    data = {"models": {"m": {"path": "m.onnx"}}, "streams": [{"id": "a", "url": "x"}], **change}
    assert jsonschema.Draft202012Validator(json_schema()).is_valid(data) == valid


def test_caller_may_change_what_it_gets() -> None:
    first = json_schema()
    first["$defs"].clear()
    assert json_schema()["$defs"]
