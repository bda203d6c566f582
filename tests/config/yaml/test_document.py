"""Text that is not YAML, and YAML with duplicates: input -> exact message."""

from __future__ import annotations

from pathlib import Path

import pytest

from framelane.config.yaml.document import parse_document
from framelane.config.yaml.load import check_config, check_text

HERE = Path()


def findings(text: str) -> list[str]:
    """Findings as the command line shows them, in a file whose name is `file`."""
    return [finding.within("file") for finding in check_text(text, HERE, {}).findings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "file: the file is empty; begin with `streams:`, `models:` and `mqtt:`"),
        ("# only a comment\n", "file: the file is empty; begin with `streams:`, `models:` and `mqtt:`"),
        ("- a\n", "file: the file is not a map of sections; begin with `streams:`, `models:` and `mqtt:`"),
        ("a: b: c", "file:1: unexpected `:`; quote values that contain `: ` (column 5)"),
        ("a:\n\t- b", "file:2: a tab; indent with spaces (column 1)"),
        ("a: [1, 2", "file:1: expected `,` or `]` to continue or end the list (column 9)"),
        ("a: {b: 1", "file:1: expected `,` or `}` to continue or end the map (column 9)"),
        ("a: 'x\nb: 1\n", "file:1: expected the closing quote of this text (column 4)"),
        ("a: @x", "file:1: a value can't begin with `@`; put it in quotes (column 4)"),
        ("a: %x", "file:1: a value can't begin with `%`; put it in quotes (column 4)"),
        ("a: *x", "file:1: no anchor `&x` before `*x`; quote text that begins with `*` (column 4)"),
        ("- a\nb: c", "file:2: expected another `-`; the lines mix a list and a map (column 1)"),
        ("a:\n  b: 1\n c: 2", "file:3: indented differently from above; indent all keys of a map alike (column 2)"),
        ("a: - b", "file:1: a list can't begin here; begin it on its own line (column 4)"),
        ("a: [b]]", "file:1: expected a new key or the end, not `]` (column 7)"),
        ("a: }", "file:1: expected a value, not `}` (column 4)"),
        ('a: "\\q"', "file:1: `\\q` is not an escape in double quotes; use single quotes (column 6)"),
        ("a: 1\n---\nb: 2", "file:2: expected one document; a second one begins here with `---` (column 1)"),
        ("a: 1\nb: \x00", "file:2: a control character (code 0x00); remove it"),
        ("a: " + "[" * 5000, "file: nested too deeply to be read"),
        ("a: &a [*a]", "file: too many values, or aliases that contain themselves"),
    ],
)  # fmt: skip
def test_check_names_the_place_when_yaml_is_malformed(text: str, expected: str) -> None:
    assert findings(text) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("? [1, 2]\n: 3", "file:1: a key must be text, not a list or a map"),
        ("<<: 1", "file:1: `<<` takes an alias of a map, or a list of such aliases"),
        (
            '"\\ud800": 1',
            "file:1: half a character (a surrogate, `\\ud800` to `\\udfff`); write the whole character",
        ),
        (
            'a: ["\\udfff"]',
            "file:1: a[0]: half a character (a surrogate, `\\ud800` to `\\udfff`); write the whole character",
        ),
    ],
)
def test_check_goes_on_when_the_outermost_map_is_odd(text: str, expected: str) -> None:
    found = findings(text)
    assert expected in found
    assert "file:1: results go nowhere; set `mqtt` or `jsonl`" in found


def test_check_ends_soon_when_aliases_multiply() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert findings("\n".join(levels)) == ["file: too many values, or aliases that contain themselves"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: {c: 1}\na: 2", [("a", "duplicate key, on lines 1 and 3")]),
        ("s:\n- url: x\n  url: y\n", [("s[0].url", "duplicate key, on lines 2 and 3")]),
        ("a: !secret x", [("a", "unknown YAML tag `!secret`; quote text that begins with `!`")]),
        ("a: !!binary x", [("a", "unknown YAML tag `!!binary`; quote text that begins with `!`")]),
        ("a: {[b]: c}", [("a", "a key must be text, not a list or a map")]),
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
