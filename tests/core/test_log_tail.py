from __future__ import annotations

import io
import logging
import sys
import threading
from typing import TYPE_CHECKING

import pytest
import structlog

from framelane.core.log import setup
from framelane.core.log_tail import MOST_LINES, TAIL, LogTail
from framelane.core.redact import register_secret

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def log() -> Iterator[structlog.stdlib.BoundLogger]:
    """The log of a process, as the daemon sets it up."""
    root = logging.getLogger()
    handlers, level, hooks = root.handlers[:], root.level, (sys.excepthook, threading.excepthook)
    before = structlog.get_config()
    setup("debug", "json", stream=io.StringIO())
    yield structlog.get_logger("framelane.test")
    root.handlers[:], root.level = handlers, level
    sys.excepthook, threading.excepthook = hooks
    logging.captureWarnings(capture=False)
    structlog.configure(**before)


def written() -> int:
    lines = TAIL.lines()
    return lines[-1].number if lines else 0


def test_the_log_itself_is_remembered_without_secrets(log: structlog.stdlib.BoundLogger) -> None:
    register_secret("hunter2hunter2")
    before = written()
    log.debug("not_remembered")
    log.info("node_stats", fps_in=25.0)
    log.info("camera_opened", stream="lobby", url="rtsp://viewer:s3cret@10.0.0.7/1")
    log.warning("camera_lost", reason="refused", text="the password was hunter2hunter2")
    info, warning = TAIL.lines(before)
    assert (info.level, info.logger) == ("info", "framelane.test")
    assert info.text.startswith("camera_opened stream=lobby url=rtsp://viewer:***@10.0.0.7/1")
    assert info.at.endswith("Z")
    assert (warning.level, warning.number) == ("warning", info.number + 1)
    assert "the password was ***" in warning.text
    assert TAIL.lines(before, faults_only=True) == [warning]
    assert TAIL.lines(warning.number) == []


def test_an_error_has_the_last_line_of_its_traceback(log: structlog.stdlib.BoundLogger) -> None:
    before = written()
    log.error("worker_failed", exc_info=ValueError("no such thing"))
    (line,) = TAIL.lines(before)
    assert line.text.startswith("worker_failed")
    assert line.text.endswith(": ValueError: no such thing")
    assert "\n" not in line.text


def test_news_displace_no_faults_and_both_are_bounded() -> None:
    tail = LogTail()
    for number in range(1000):
        tail(None, "warning", {"level": "error", "event": f"fault-{number}"})
    for number in range(1000):
        tail(None, "info", {"level": "info", "event": "x" * 5000, "number": number})
    lines = tail.lines()
    assert len(lines) == 2 * MOST_LINES
    assert [line.number for line in lines] == sorted(line.number for line in lines)
    assert lines[0].text == f"fault-{1000 - MOST_LINES}"
    assert {len(line.text) for line in lines[MOST_LINES:]} == {1000}


def test_a_line_is_passed_on_as_it_is() -> None:
    event = {"level": "info", "event": "started", "streams": 3, "_record": object()}
    tail = LogTail()
    assert tail(None, "info", event) is event
    assert tail.lines()[0].text == "started streams=3"


def test_lines_of_a_worker_process_get_numbers_of_the_parents() -> None:
    worker, parent = LogTail(), LogTail()
    parent(None, "info", {"level": "info", "event": "started"})
    for number in range(3):
        level = "error" if number == 1 else "info"
        worker(None, level, {"level": level, "event": f"worker-{number}", "process": "worker-1"})
    parent.extend(worker.fresh())
    assert worker.fresh() == []
    assert [(line.number, line.text) for line in parent.lines()] == [
        (1, "started"),
        (2, "worker-0 process=worker-1"),
        (3, "worker-1 process=worker-1"),
        (4, "worker-2 process=worker-1"),
    ]
    assert [line.number for line in parent.lines(faults_only=True)] == [3]
