"""What is allowed and what was given, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from framelane.config.explain.wording import allowed, given, keys_at, schema_at

if TYPE_CHECKING:
    from framelane.config.keypath import KeyPath, Node

RATE = "a number above 0 and at most 1000, or null"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("streams", 0, "fps"), RATE),
        (("streams", 99, "publish", "max_rate"), RATE),
        (("streams", 0, "crop"), "a list of 4 items, each a number from 0 to 1, or null"),
        (
            ("streams", 0, "confidence"),
            "a number from 0 to 1, or a map from names to a number from 0 to 1, or null",
        ),
        (("streams", 0, "model"), "text, or a list of texts, at least one, or null"),
        (("streams", 0, "enabled"), "`true` or `false`"),
        (("streams", 0, "decode"), "`auto`, `nvdec` or `cpu`"),
        (("streams", 0, "url"), "text"),
        (("streams", 0, "ffmpeg"), "a map from names to text"),
        (("streams", 0, "backoff"), "a map"),
        (
            ("node", "id"),
            "a name of 1 to 64 letters, digits, `.`, `_` or `-`, the first a letter or a digit",
        ),
        (("streams",), "a list of maps"),
        (("models",), "a map of at least one"),
        (("models", "any", "size"), "a list of 2 items, each a whole number from 32 to 4096, or null"),
        (("models", "any", "input", "mean"), "a list of 3 items, each a number, or null"),
        (("mqtt",), "a map, or null"),
        (("mqtt", "qos"), "`0`, `1` or `2`"),
        (("mqtt", "prefix"), "topic levels without `#`, `+`, or `/` at an end"),
        (("mqtt", "spool", "max_bytes"), "bytes, such as `512MiB`, `4GiB`, `2GB` or `1000000`"),
        (("mqtt", "expiry_s"), "a whole number from 0 to 4294967295"),
        (
            ("streams", 0, "lines", "any", "points"),
            "a list of 2 to 32 points [x, y], each a number from 0 to 1",
        ),
        (("streams", 0, "events", "reset"), "a time of day from `00:00` to `23:59`, or null"),
        (("gpus",), "a list of items, at least one, each a whole number from 0 to 63"),
        (("http", "listen"), "text or null"),
        (("http", "hosts"), "a list of texts, or null"),
    ],
)
def test_allowed_says_what_the_schema_does(path: KeyPath, expected: str) -> None:
    assert expected == allowed(schema_at(path))


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "integer", "minimum": 1}, "a whole number of 1 or more"),
        ({"type": "number"}, "a number"),
        ({"type": "number", "maximum": 2}, "a number of at most 2"),
        ({"type": "number", "exclusiveMinimum": 0.0}, "a number above 0"),
        ({"type": "number", "minimum": 0.5, "maximum": 2.0}, "a number from 0.5 to 2"),
        ({"enum": ["only"]}, "`only`"),
        ({"type": "string", "pattern": "^unknown$"}, "text"),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, "`true` or `false`, or null"),
    ],
)
def test_allowed_says_bounds_as_they_are(schema: dict[str, Any], expected: str) -> None:
    assert expected == allowed(schema)


@pytest.mark.parametrize(
    "path", [("nothing",), ("streams", "id"), ("streams", 0, "url", "x"), ("gpus", 0, 0)]
)
def test_schema_at_is_empty_where_no_value_is_allowed(path: KeyPath) -> None:
    assert not schema_at(path)


@pytest.mark.parametrize(
    ("path", "some", "none"),
    [
        ((), {"streams", "mqtt", "models"}, "url"),
        (("mqtt",), {"url", "spool"}, "streams"),
        (("streams", 3), {"id", "url", "fps"}, "streams"),
        (("models", "any"), {"path", "labels"}, "any"),
    ],
)
def test_keys_at_are_those_of_the_section(path: KeyPath, some: set[str], none: str) -> None:
    keys = keys_at(path)
    assert some <= set(keys)
    assert none not in keys
    assert len(keys) == len(set(keys))


def test_keys_at_are_none_where_there_is_no_section() -> None:
    assert keys_at(("node", "id")) == keys_at(("nothing",)) == []


@pytest.mark.parametrize(
    ("path", "value", "written", "expected"),
    [
        (("a",), None, None, "nothing"),
        (("a",), [], [], "an empty list"),
        (("a",), ["x", "y"], [], "a list of 2"),
        (("a",), {}, {}, "an empty map"),
        (("password",), {"x": "y"}, {}, "a map"),
        (("a",), "", "${A}", "an empty text"),
        (("a",), "text", "text", "`text`"),
        (("a",), "secret", "${A}", "what `${A}` holds"),
        (("a",), "text", None, "`text`"),
        (("mqtt", "password"), "secret", "secret", "something else"),
        (("streams", 0, "ffmpeg", "headers"), "secret", "secret", "something else"),
        (("a",), "rtsp://user:mellon@cam", "rtsp://user:mellon@cam", "`rtsp://user:***@cam`"),
        (("a",), "x" * 60, "x" * 60, f"`{'x' * 60}`"),
        (("a",), "x" * 61, "x" * 61, f"`{'x' * 60}...`"),
    ],
)
def test_given_tells_the_value_but_no_secret(
    path: KeyPath, value: Node, written: Node, expected: str
) -> None:
    assert expected == given(path, value, written)
