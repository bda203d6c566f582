from __future__ import annotations

from typing import Any

import pytest
from tests.sinks.homeassistant.examples import LABELS, stream

from framelane.sinks.homeassistant.classes import classes_of


@pytest.mark.parametrize(
    ("chosen", "own", "models", "expected"),
    [
        (None, None, "yolox", None),
        (None, ["car", "person"], "yolox", ["car", "person"]),
        (["person", "car"], None, "yolox", ["person", "car"]),
        (["person", "car"], ["car"], "yolox", ["car"]),
        (["plate", "person"], None, "yolox", ["person"]),
        (["plate", "person", "plate"], None, ["yolox", "plates"], ["plate", "person"]),
        ([], ["person"], "yolox", []),
    ],
)
def test_classes_are_the_chosen_ones_that_the_stream_can_report(
    chosen: Any, own: Any, models: Any, expected: Any
) -> None:
    assert classes_of(stream(classes=own, model=models), chosen, LABELS) == expected
