"""The JSON Schemas of all messages (draft 2020-12), shipped for consumers and for our own tests."""

from __future__ import annotations

from importlib import resources
from typing import Any

import orjson

NAMES = ("detections", "state", "status", "stats", "node-stats")


def load(name: str) -> dict[str, Any]:
    """The schema of one kind of message, by its name in NAMES."""
    text = resources.files(__name__).joinpath(f"{name}.json").read_bytes()
    schema: dict[str, Any] = orjson.loads(text)
    return schema
