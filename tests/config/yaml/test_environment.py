"""Variables in values, after YAML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from framelane.config.keypath import Problem
from framelane.config.yaml.environment import substitute

if TYPE_CHECKING:
    from framelane.config.keypath import Node

ENVIRON = {
    "NAME": "value",
    "EMPTY": "",
    "ODD": "a:b/c@d?e#f[g]h i\\j%k%41",
    "NESTED": "${NAME}",
    "_9": "nine",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain $NAME $ {}", "plain $NAME $ {}"),
        ("${NAME}", "value"),
        ("a-${NAME}-${NAME}-b", "a-value-value-b"),
        ("${_9}", "nine"),
        ("${EMPTY}", ""),
        ("${EMPTY:-fallback}", "fallback"),
        ("${MISSING:-}", ""),
        ("${MISSING:-a:-b\nc}", "a:-b\nc"),
        ("${NAME:-fallback}", "value"),
        ("$${NAME}", "${NAME}"),
        ("$$${NAME}", "$${NAME}"),
        ("${NESTED}", "${NAME}"),
        ("${ODD}", ENVIRON["ODD"]),
    ],
)
def test_substitute_replaces_variables_once(text: str, expected: str) -> None:
    assert (expected, []) == substitute(text, ENVIRON)


ENCODED = "a:b%2Fc%40d%3Fe%23f%5Bg%5Dh%20i%5Cj%25k%41"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://user:${ODD}@cam/1", f"rtsp://user:{ENCODED}@cam/1"),
        ("rtsp://${NAME}:${ODD}@cam/1", f"rtsp://value:{ENCODED}@cam/1"),
        ("rtsp://${ODD}:${NAME}@cam", f"rtsp://{ENCODED}:value@cam"),
        ("rtsp://cam/${ODD}", f"rtsp://cam/{ENVIRON['ODD']}"),
        ("rtsp://cam/${ODD}@x", f"rtsp://cam/{ENVIRON['ODD']}@x"),
        ("rtsp://${ODD}/1", f"rtsp://{ENVIRON['ODD']}/1"),
        ("user:${ODD}@cam", f"user:{ENVIRON['ODD']}@cam"),
    ],
)
def test_substitute_encodes_values_in_the_login_of_a_url(text: str, expected: str) -> None:
    assert (expected, []) == substitute(text, ENVIRON)


BROKEN = "`${` doesn't begin a `${NAME}` or `${NAME:-fallback}`; write `$${` for a literal `${`"
MISSING = "the environment has no variable `MISSING`; set it, or write `${MISSING:-fallback}`"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a ${MISSING}", MISSING),
        ("${NAME} ${MISSING}", MISSING),
        ("${", BROKEN),
        ("${NAME", BROKEN),
        ("${}", BROKEN),
        ("${9A}", BROKEN),
        ("${A-B}", BROKEN),
        ("${NAME:+x}", BROKEN),
        ("${A:-${NAME}}", BROKEN),
    ],
)
def test_substitute_tells_of_a_variable_that_is_missing_or_broken(text: str, message: str) -> None:
    path = ("streams", 0, "url")
    assert (None, [Problem(path, message)]) == substitute(text, ENVIRON, path)


def test_substitute_goes_into_maps_and_lists_and_collects_all_problems() -> None:
    data: Node = {"a": ["${NAME}", "${MISSING}", None], "b": {"${NAME}": "${"}, "c": "x"}
    expected: Any = {"a": ["value", None, None], "b": {"${NAME}": None}, "c": "x"}
    assert substitute(data, ENVIRON) == (
        expected,
        [Problem(("a", 1), MISSING), Problem(("b", "${NAME}"), BROKEN)],
    )
