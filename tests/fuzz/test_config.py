"""Any configuration file gives a configuration or findings: no crash, no hang."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from framelane.config.keypath import at
from framelane.config.yaml.load import CheckReport, check_config, check_text
from framelane.core.errors import ConfigError

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

EXAMPLE = Path(__file__).parents[2] / "configs" / "example.yaml"
TEXT = EXAMPLE.read_text(encoding="utf-8")
DATA: dict[str, Any] = yaml.safe_load(TEXT)

ODD_TEXTS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["", " ", "~", "null", "yes", "007", "1e999", "-1", ".nan", "${", "${X}", "${X:-${X}}", "$${X}", "a\0b", "/dev",
         "/proc/self/mem",
         "é" * 300, "rtsp://[::1", "rtsp://u:p@h:0/x", "mqtt://:pw@:1", "file:///", "../" * 50, "\ud800"]
    ),
)  # fmt: skip
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), ODD_TEXTS)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(ODD_TEXTS, inner, max_size=4)),
    max_leaves=10,
)


def checked(report: CheckReport) -> None:
    """A configuration, or findings that can be shown; never both and never neither."""
    if report.config is not None:
        assert report.findings == []
        return
    assert report.findings
    assert all(finding.message for finding in report.findings)
    assert str(ConfigError(report.findings))


def paths_in(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Of everything in plain data."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path] * bool(path) + [each for key, child in children for each in paths_in(child, (*path, key))]


PATHS = sorted(paths_in(DATA), key=str)


@st.composite
def mutants(draw: st.DrawFn) -> str:
    """The example with some values replaced, removed or moved."""
    data = copy.deepcopy(DATA)
    for path in draw(st.lists(st.sampled_from(PATHS), min_size=1, max_size=4)):
        parent: Any = at(data, path[:-1])
        if isinstance(parent, dict):
            _change(draw, parent, path[-1])
        elif isinstance(parent, list) and isinstance(path[-1], int) and path[-1] < len(parent):
            parent[path[-1]] = draw(VALUES)
    return yaml.dump(data, allow_unicode=True, sort_keys=False)


def _change(draw: st.DrawFn, section: dict[Any, Any], key: Any) -> None:
    way = draw(st.sampled_from(["replace", "remove", "rename"]))
    if way == "replace":
        section[key] = draw(VALUES)
    else:
        value = section.pop(key, None)
        if way == "rename":
            section[draw(ODD_TEXTS)] = value


@st.composite
def edits(draw: st.DrawFn) -> bytes:
    """The example's bytes with some slices deleted, doubled or replaced by anything."""
    content = TEXT.encode()
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(start + 60, len(content))))
        piece: SearchStrategy[bytes] = st.one_of(
            st.just(b""), st.just(content[start:end] * 2), st.binary(max_size=8), st.sampled_from(
                [b"\t", b"&a ", b"*a", b"<<: ", b"- ", b"? ", b"!!set ", b"{", b"}", b"[", b"]", b": ", b"---\n", b"\r"]
            )
        )  # fmt: skip
        content = content[:start] + draw(piece) + content[end:]
    return content


@given(content=st.one_of(st.binary(max_size=200), edits()))
def test_any_bytes_are_a_configuration_or_findings(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(content)

    checked(check_config(file, {"X": "${X}"}))


@given(
    text=st.one_of(
        VALUES.map(lambda value: yaml.dump(value, allow_unicode=True, sort_keys=False)),
        st.text(max_size=100),
        mutants(),
    )
)
@example(text="? [1, 2]\n: 3")
@example(text="<<: 1")
@example(text="streams: [{? {a: b} : c}]")
@example(text="&a {streams: *a}")
@example(text='streams: [{id: "\\ud800", url: "rtsp://\\ud800/"}]')
def test_any_values_are_a_configuration_or_findings(text: str, tmp_path: Path) -> None:
    checked(check_text(text, tmp_path, {"X": "a\nb: c"}))


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a: " + "[" * 100_000, id="brackets that never close"),
        pytest.param("a: " + "[" * 900 + "]" * 900, id="lists in lists"),
        pytest.param("\n".join(" " * depth + "a:" for depth in range(1_500)), id="maps in maps"),
        pytest.param(
            "x-0: &a0 [1, 1]\n"
            + "".join(f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)),
            id="aliases that stand for billions of values",
        ),
        pytest.param("streams: [" + "{id: a, ulr: b}, " * 1_000 + "]", id="a thousand wrong streams"),
        pytest.param("a: " + "9" * 100_000, id="a number of many digits"),
    ],
)
def test_file_that_is_large_in_an_odd_way_gets_findings_in_time(text: str, tmp_path: Path) -> None:
    report = check_text(text, tmp_path, {})

    assert report.config is None
    checked(report)
