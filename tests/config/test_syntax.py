"""Text that is no YAML, or YAML that says something twice: input -> exact message."""

from __future__ import annotations

from pathlib import Path

import pytest

from framelane.config.document import parse_document
from framelane.config.load import check_config, check_text

HERE = Path()


def findings(text: str) -> list[str]:
    return [str(finding) for finding in check_text(text, HERE, {}).findings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the file is empty; begin with `streams:`, `models:` and `mqtt:`"),
        ("# only a comment\n", "the file is empty; begin with `streams:`, `models:` and `mqtt:`"),
        ("- a\n", "the file is no map of sections; begin with `streams:`, `models:` and `mqtt:`"),
        ("a: b: c", "line 1, column 5: a `:` where none can stand; put values that hold `: ` in quotes"),
        ("a:\n\t- b", "line 2, column 1: a tab; indent with spaces"),
        ("a: [1, 2", "line 1, column 9: expected `,` or `]` to go on or end the list"),
        ("a: {b: 1", "line 1, column 9: expected `,` or `}` to go on or end the map"),
        ("a: 'x\nb: 1\n", "line 1, column 4: expected the closing quote of this text"),
        ("a: @x", "line 1, column 4: a value can't begin with `@`; put it in quotes"),
        ("a: %x", "line 1, column 4: a value can't begin with `%`; put it in quotes"),
        ("a: *x", "line 1, column 4: no `&x` stands before `*x`; put text that begins with `*` in quotes"),
        ("- a\nb: c", "line 2, column 1: expected another `-`; the lines mix a list and a map"),
        ("a:\n  b: 1\n c: 2", "line 3, column 2: indented unlike the lines above; indent the keys of one map alike"),
        ("a: - b", "line 1, column 4: a `-` where no list can begin; begin the list on its own line"),
        ("a: [b]]", "line 1, column 7: expected a new key or the end, not `]`"),
        ("a: }", "line 1, column 4: expected a value, not `}`"),
        ('a: "\\q"', "line 1, column 6: `\\q` is no escape in double quotes; use single quotes"),
        ("a: 1\n---\nb: 2", "line 2, column 1: expected one document; a second one begins here with `---`"),
        ("a: 1\nb: \x00", "line 2: a control character (code 0x00); remove it"),
        ("a: " + "[" * 5000, "nested too deeply to be read"),
        ("a: &a [*a]", "holds too many values, or aliases that contain themselves"),
    ],
)  # fmt: skip
def test_check_names_the_place_when_yaml_is_malformed(text: str, expected: str) -> None:
    assert findings(text) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("? [1, 2]\n: 3", "line 1: a key must be text, not a list or a map"),
        ("<<: 1", "`<<` takes an alias of a map, or a list of such aliases"),
        ('"\\ud800": 1', "line 1: half a character (a surrogate, `\\ud800` to `\\udfff`); write it whole"),
        (
            'a: ["\\udfff"]',
            "a[0]: line 1: half a character (a surrogate, `\\ud800` to `\\udfff`); write it whole",
        ),
    ],
)
def test_check_goes_on_when_the_outermost_map_is_odd(text: str, expected: str) -> None:
    found = findings(text)
    assert expected in found
    assert "results go nowhere; set `mqtt` or `jsonl`" in found


def test_check_ends_soon_when_aliases_multiply() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert findings("\n".join(levels)) == ["holds too many values, or aliases that contain themselves"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: {c: 1}\na: 2", [("a", "the key stands twice, on lines 1 and 3")]),
        ("s:\n- url: x\n  url: y\n", [("s[0].url", "the key stands twice, on lines 2 and 3")]),
        ("a: !secret x", [("a", "unknown YAML tag `!secret`; put text that begins with `!` in quotes")]),
        ("a: !!binary x", [("a", "unknown YAML tag `!!binary`; put text that begins with `!` in quotes")]),
        ("a: {[b]: c}", [("a", "line 1: a key must be text, not a list or a map")]),
        ("a: {<<: x}", [("a", "`<<` takes an alias of a map, or a list of such aliases")]),
    ],
)  # fmt: skip
def test_check_reports_what_yaml_alone_lets_pass(text: str, expected: list[tuple[str, str]]) -> None:
    found = [(finding.path, finding.message) for finding in check_text(text, HERE, {}).findings]
    assert expected == [pair for pair in found if pair in expected]


def test_parse_document_leaves_types_to_the_schema() -> None:
    text = "{a: 007, b: no, c: 1e5, d: 12:30, e: 2026-01-01, f: null, g: ~, h: , i: 'null', j: !!int 5, 1: x}"
    assert parse_document(text).data == {
        "a": "007", "b": "no", "c": "1e5", "d": "12:30", "e": "2026-01-01", "f": None, "g": None, "h": None,
        "i": "null", "j": "5", "1": "x",
    }  # fmt: skip


def test_parse_document_merges_anchors_when_asked_and_the_map_itself_wins() -> None:
    text = """
a: &a {x: 1, y: 1}
b: &b {<<: *a, y: 2}
c: {<<: [*b, {z: 3, x: 4}], w: 5}
"""
    document = parse_document(text)
    assert document.problems == []
    assert isinstance(document.data, dict)
    assert document.data["c"] == {"w": "5", "y": "2", "x": "1", "z": "3"}


def test_check_config_reports_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    missing, binary = tmp_path / "no.yaml", tmp_path / "latin.yaml"
    binary.write_bytes(b"a: \xe9")
    assert [str(f) for f in check_config(missing, {}).findings] == [
        f"can't read {missing}: No such file or directory"
    ]
    assert [str(f) for f in check_config(binary, {}).findings] == [f"{binary} is not UTF-8 text (byte 3)"]
    assert [str(f) for f in check_config(tmp_path, {}).findings] == [f"can't read {tmp_path}: Is a directory"]
