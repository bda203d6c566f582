"""docs/events.md tells the truth about configuration, fields, reasons and ONVIF's topics."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import orjson
import pytest

from framelane.config.yaml.load import check_text
from framelane.core.events import EndReason, EventKind
from framelane.messages import schemas
from framelane.messages.onvif import payloads
from framelane.messages.onvif.payloads import crossed_message

if TYPE_CHECKING:
    from collections.abc import Iterable

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "events.md").read_text(encoding="utf-8")


def absent(words: Iterable[str]) -> list[str]:
    return [word for word in words if f"`{word}`" not in PAGE]


def test_example_of_the_configuration_has_no_findings(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "m.onnx").touch()
    sections = 'mqtt: {url: "mqtt://h"}\nmodels: {yolox: {path: m.onnx, labels: [person, car]}}\n'
    report = check_text(sections + example, tmp_path, {})
    assert report.findings + report.warnings == []


def test_every_field_kind_and_reason_is_named() -> None:
    assert absent(schemas.load("event")["properties"].keys() - {"schema"}) == []
    assert absent(get_args(EventKind)) == []
    assert absent(get_args(EndReason)) == []


@pytest.mark.parametrize(
    "topic", [payloads.CROSSED, payloads.INSIDE, payloads.LOITERING, payloads.COUNTER]
)  # fmt: skip
def test_every_onvif_topic_is_named(topic: str) -> None:
    assert f"`{topic.removeprefix('RuleEngine/')}/&<stream>/<node>/<" in PAGE


def test_onvif_example_is_what_is_published() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    shown = orjson.loads(example)
    (event,) = re.findall(
        r'```json\n(\{"schema":"framelane.event/1".*?)```', (DOCS / "mqtt.md").read_text(), re.DOTALL
    )
    seen = {"id": shown["Data"]["ObjectId"], "label": "person"}
    body = orjson.loads(event) | {"stream": "gate", "object": seen}
    assert orjson.loads(crossed_message(body).payload) == shown
