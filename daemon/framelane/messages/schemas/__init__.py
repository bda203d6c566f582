"""The JSON Schemas of all messages (draft 2020-12), and the AsyncAPI document made from them, for consumers.

The schemas are the source: encoders are tested against them. `asyncapi.json` is the output of `framelane
schema asyncapi`.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

import orjson

NAMES = ("detections", "event", "zone", "line", "state", "status", "stats", "node-stats")


def load(name: str) -> dict[str, Any]:
    """Return the schema of a kind of message, by its name in NAMES; or `asyncapi`."""
    text = resources.files(__name__).joinpath(f"{name}.json").read_bytes()
    schema: dict[str, Any] = orjson.loads(text)
    return schema
