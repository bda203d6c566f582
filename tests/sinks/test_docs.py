from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.sinks.examples import checked, detections

from framelane.messages import schemas
from framelane.messages.detections import Encoding, Message

PAGE = (Path(__file__).parents[2] / "docs" / "mqtt.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_in_the_docs_fits_its_schema(example: str) -> None:
    checked(Message("stats", None, example.encode(), retain=False))


@pytest.mark.parametrize(("encoding", "bare", "each"), [("json", 370, 125), ("msgpack", 305, 130)])
@pytest.mark.parametrize("count", [0, 5, 20])
def test_messages_take_the_bytes_that_the_docs_tell(
    encoding: Encoding, bare: int, each: int, count: int
) -> None:
    message = detections(1234, count=count, encoding=encoding)
    assert f"{bare}" in PAGE
    assert f"{each}" in PAGE
    assert len(message.payload) == pytest.approx(bare + count * each, rel=0.06)


def test_the_docs_name_every_schema() -> None:
    assert [name for name in schemas.NAMES if f"framelane.{name}/1" not in PAGE] == []
    assert len(EXAMPLES) == 7
