from __future__ import annotations

import pytest

from framelane.config.suggest import listed, nearest, unknown

KEYS = ["url", "model", "Models", "read_timeout_s"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("modle", "model"),
        ("URL", "url"),
        ("MODELS", "Models"),
        ("readtimeout", "read_timeout_s"),
        ("fps", None),
        ("", None),
    ],
)
def test_nearest_finds_the_name_that_was_meant(name: str, expected: str | None) -> None:
    assert expected == nearest(name, KEYS)


def test_nearest_finds_nothing_among_nothing() -> None:
    assert nearest("url", []) is None


@pytest.mark.parametrize(
    ("name", "known", "plural", "expected"),
    [
        ("modle", iter(KEYS), "", "unknown key `modle`; did you mean `model`?"),
        ("fps", iter(["a", "b", "c"]), "", "unknown key `fps`; known keys: a, b and c"),
        ("fps", ["a"], "entries", "unknown key `fps`; known entries: a"),
        ("fps", [], "", "unknown key `fps`; known keys: none"),
    ],
)
def test_unknown_suggests_one_name_or_lists_all(
    name: str, known: list[str], plural: str, expected: str
) -> None:
    assert expected == unknown("key", name, known, plural)


@pytest.mark.parametrize(
    ("names", "expected"),
    [([], "none"), (["a"], "a"), (["a", "b"], "a or b"), (["a", "b", "c"], "a, b or c")],
)
def test_listed_joins_names_for_a_sentence(names: list[str], expected: str) -> None:
    assert expected == listed(iter(names))
