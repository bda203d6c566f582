from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from framelane.config.keypath import at, dotted, is_disjoint, parsed

if TYPE_CHECKING:
    from framelane.config.keypath import KeyPath, Node

TREE: Node = {"streams": [{"id": "a"}, {"id": None}], "models": {"v1.5": {"path": "m.onnx"}}, "0": "zero"}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("streams",), "streams"),
        (("streams", 2, "url"), "streams[2].url"),
        (("models", "yolo-x_1", "path"), "models.yolo-x_1.path"),
        (("models", "v1.5", "path"), 'models["v1.5"].path'),
        (("models", "a b", 0), 'models["a b"][0]'),
        (("models", ""), 'models[""]'),
        (("a b",), '["a b"]'),
        ((3, 14), "[3][14]"),
        (("models", "7"), "models.7"),
        (("models", "[7]"), 'models["[7]"]'),
    ],
)
def test_dotted_and_parsed_are_each_others_inverse(path: KeyPath, text: str) -> None:
    assert (text, path) == (dotted(path), parsed(text))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ((), TREE),
        (("streams", 0, "id"), "a"),
        (("streams", 1, "id"), None),
        (("streams", 2), None),
        (("streams", "0"), None),
        (("streams", 0, "id", 0), None),
        (("models", "v1.5", "path"), "m.onnx"),
        (("models", 0), None),
        (("0",), "zero"),
        (("nothing", "below"), None),
    ],
)
def test_at_returns_the_value_or_none(path: KeyPath, expected: Node) -> None:
    assert expected == at(TREE, path)


@pytest.mark.parametrize(
    ("path", "others", "expected"),
    [
        (("a", 1), [], True),
        (("a", 1), [("a", 2), ("b",)], True),
        (("a", 1), [("a", 1)], False),
        (("a", 1), [("a",)], False),
        (("a",), [("b",), ("a", 1)], False),
        (("ab",), [("a",)], True),
        ((), [("a",)], True),
        (("a",), [()], True),
    ],
)
def test_is_disjoint_tells_whether_neither_contains_the_other(
    path: KeyPath, others: list[KeyPath], *, expected: bool
) -> None:
    assert expected is is_disjoint(path, others)
