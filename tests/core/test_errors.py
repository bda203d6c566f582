from __future__ import annotations

from pathlib import Path

import pytest

from framelane.core.errors import (
    BusyError,
    ConfigError,
    ConflictError,
    Finding,
    FramelaneError,
    ModelError,
    NotStoredError,
    RequestError,
    RestartNeededError,
    SourceError,
    UnknownStreamError,
)


@pytest.mark.parametrize(
    ("finding", "text", "within"),
    [
        (Finding("", "is empty"), "is empty", "main.yaml: is empty"),
        (Finding("streams[2].url", "is bad"), "streams[2].url: is bad", "main.yaml: streams[2].url: is bad"),
        (Finding("a", "is bad", line=7), "a: is bad", "main.yaml:7: a: is bad"),
        (Finding("a", "is bad", "x.yaml"), "x.yaml: a: is bad", "x.yaml: a: is bad"),
        (Finding("", "is bad", "x.yaml", 1), "x.yaml:1: is bad", "x.yaml:1: is bad"),
    ],
)
def test_finding_tells_its_place(finding: Finding, text: str, within: str) -> None:
    assert (text, within, within) == (
        str(finding),
        finding.within("main.yaml"),
        finding.within(Path("main.yaml")),
    )


def test_findings_are_equal_wherever_their_line_has_moved() -> None:
    assert Finding("a", "is bad", "x", 1) == Finding("a", "is bad", "x", 9)
    assert Finding("a", "is bad", "x", 1) != Finding("a", "is bad", "y", 1)


def test_config_error_lists_all_findings() -> None:
    error = ConfigError([Finding("a", "is bad"), Finding("b", "is worse", "x.yaml", 3)])
    assert str(error) == "a: is bad\nx.yaml:3: b: is worse"


@pytest.mark.parametrize(
    ("error", "exit_code", "text"),
    [
        (FramelaneError("no"), 1, "no"),
        (ConfigError([]), 2, ""),
        (RestartNeededError([Finding("node.id", "needs a restart")]), 2, "node.id: needs a restart"),
        (UnknownStreamError("no"), 1, "no"),
        (ConflictError("no"), 1, "no"),
        (NotStoredError("no"), 1, "no"),
        (BusyError("no", 5), 1, "no"),
        (ModelError("no"), 3, "no"),
        (RequestError("busy", "no"), 1, "no"),
        (SourceError("lost", "no"), 1, "no"),
    ],
)
def test_errors_have_their_exit_code_and_text(error: FramelaneError, exit_code: int, text: str) -> None:
    assert (exit_code, text, False) == (error.exit_code, str(error), error.ends_at_once)


def test_reason_is_kept_beside_the_text() -> None:
    assert (RequestError("busy", "no").reason, SourceError("lost", "no").reason) == ("busy", "lost")
