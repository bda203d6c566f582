from __future__ import annotations

import io
import json
import logging
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, TextIO

import pytest

from framelane.core.systemd import extend_start, is_journal, notify, with_priority

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("abstract", [False, True])
def test_notify_sends_to_the_socket_that_systemd_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, abstract: bool
) -> None:
    name = f"@framelane-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(name.replace("@", "\0", 1) if abstract else name)
        systemd.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        notify("READY=1")
        extend_start(600)
        assert [systemd.recv(64), systemd.recv(64)] == [b"READY=1", b"EXTEND_TIMEOUT_USEC=600000000"]


@pytest.mark.parametrize("name", [None, "", "/nowhere/notify"])
def test_notify_does_nothing_without_a_service_manager(
    monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if name is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", name)
    notify("READY=1")


def journal_of(stream: TextIO) -> str:
    found = os.fstat(stream.fileno())
    return f"{found.st_dev}:{found.st_ino}"


def test_stream_is_the_journal_if_systemd_says_so_of_that_very_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (tmp_path / "journal").open("w") as journal, (tmp_path / "file").open("w") as other:
        for told, expected in (
            (journal_of(journal), True),
            (journal_of(other), False),
            ("1", False),
            ("", False),
        ):
            monkeypatch.setenv("JOURNAL_STREAM", told)
            assert is_journal(journal) == expected
        monkeypatch.delenv("JOURNAL_STREAM")
        assert not is_journal(journal)
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    assert not is_journal(journal), "it is closed"
    assert not is_journal(io.StringIO())


def test_priority_stands_before_each_line() -> None:
    assert with_priority("one\ntwo", logging.ERROR) == "<3>one\n<3>two"
    levels = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
    assert [with_priority("x", level)[:3] for level in levels] == ["<7>", "<6>", "<4>", "<3>", "<2>"]


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("journal", [True, False])
def test_log_goes_to_the_journal_with_its_priorities(tmp_path: Path, form: str, *, journal: bool) -> None:
    """Standard error is the stream in JOURNAL_STREAM, as in a service."""
    code = f"""
from framelane.core.log import setup
import structlog
setup("info", {form!r})
log = structlog.get_logger("t")
log.info("fine")
log.warning("odd")
try:
    raise ValueError("broken")
except ValueError as error:
    log.error("bad", exc_info=error)
"""
    with (tmp_path / "stderr").open("w+") as stream:
        environment = {**os.environ, "JOURNAL_STREAM": journal_of(stream) if journal else "8:1"}
        subprocess.run([sys.executable, "-c", code], stderr=stream, env=environment, check=True)
        stream.seek(0)
        lines = stream.read().splitlines()
    prefixes = [line[:3] for line in lines]
    if not journal:
        assert not any(prefix[0] == "<" for prefix in prefixes)
        return
    assert prefixes[:2] == ["<6>", "<4>"]
    assert set(prefixes[2:]) == {"<3>"}
    assert "ValueError: broken" in lines[-1]
    if form == "json":
        assert [json.loads(line[3:])["level"] for line in lines] == ["info", "warning", "error"]
