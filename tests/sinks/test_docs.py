from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.sinks.examples import checked

from framelane.sinks import schemas
from framelane.sinks.message import Message

PAGE = (Path(__file__).parents[2] / "docs" / "mqtt.md").read_text()
EXAMPLES = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_in_the_docs_fits_its_schema(example: str) -> None:
    checked(Message("stats", None, example.encode(), retain=False))


def test_the_docs_name_every_schema() -> None:
    assert [name for name in schemas.NAMES if f"framelane.{name}/1" not in PAGE] == []
    assert len(EXAMPLES) == 4
