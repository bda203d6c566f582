from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from framelane.core.fold import Fold
from framelane.core.log import setup

if TYPE_CHECKING:
    from collections.abc import Iterator


class FakeClock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return 1_763_802_000.123456 + self.now_s


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, hooks = root.handlers[:], root.level, (sys.excepthook, threading.excepthook)
    yield
    root.handlers[:], root.level = handlers, level
    sys.excepthook, threading.excepthook = hooks
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


class Log:
    def __init__(
        self, clock: FakeClock, level: Any = "info", form: Any = "json", stream: io.StringIO | None = None
    ) -> None:
        self.stream = stream or io.StringIO()
        setup(level, form, clock=clock, stream=self.stream)
        self.logger = structlog.get_logger("framelane.test")

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


def test_json_line_says_when_where_and_what(clock: FakeClock) -> None:
    log = Log(clock)
    log.logger.info("opened", stream="lobby", fps=25.0)
    assert log.lines() == [
        {
            "timestamp": "2025-11-22T09:00:00.123456Z",
            "level": "info",
            "logger": "framelane.test",
            "thread": "MainThread",
            "event": "opened",
            "stream": "lobby",
            "fps": 25.0,
        }
    ]


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_level_filters(clock: FakeClock, level: str, expected: list[str]) -> None:
    log = Log(clock, level)
    for name in ("debug", "info", "warning", "error"):
        getattr(log.logger, name)(name)
    assert [line["level"] for line in log.lines()] == expected


@pytest.mark.parametrize(
    ("level", "expected"),
    [("debug", ["debug", "info", "warning"]), ("info", ["warning"]), ("warning", ["warning"]), ("error", [])],
)
def test_libraries_are_heard_from_warning_on_unless_debugging(
    clock: FakeClock, level: str, expected: list[str]
) -> None:
    log = Log(clock, level)
    library = logging.getLogger("paho.test")
    library.debug("debug %d", 1)
    library.info("info %d", 2)
    library.warning("warning %d", 3)
    assert [line["level"] for line in log.lines()] == expected
    assert all(line["logger"] == "paho.test" for line in log.lines())


@pytest.mark.parametrize(("level", "name"), [(5, "debug"), (35, "warning"), (99, "critical")])
def test_library_levels_of_their_own_are_rounded_down(clock: FakeClock, level: int, name: str) -> None:
    log = Log(clock, "debug")
    logging.getLogger().setLevel(1)
    logging.getLogger("libav.h264").setLevel(1)
    logging.getLogger("libav.h264").log(level, "something")
    assert [line["level"] for line in log.lines()] == [name]


def test_library_record_with_wrong_arguments_is_logged_as_it_is(clock: FakeClock) -> None:
    log = Log(clock)
    record = logging.makeLogRecord(
        {"name": "uvicorn.error", "levelno": 30, "msg": "%d of %d", "args": ("one",)}
    )
    logging.getLogger().handlers[-1].handle(record)
    assert [line["event"] for line in log.lines()] == ["%d of %d"]


def test_python_warnings_go_through_the_log(clock: FakeClock) -> None:
    log = Log(clock)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("beware", UserWarning, stacklevel=1)
    assert "beware" in log.lines()[0]["event"]


def test_setup_twice_logs_each_record_once(clock: FakeClock) -> None:
    Log(clock)
    log = Log(clock)
    logging.getLogger("x").warning("once")
    assert len(log.lines()) == 1


def test_auto_writes_for_people_on_a_terminal_and_json_elsewhere(clock: FakeClock) -> None:
    terminal = Terminal()
    Log(clock, form="auto", stream=terminal).logger.info("opened", stream="lobby")
    assert "\x1b[" in terminal.getvalue()
    log = Log(clock, form="auto")
    log.logger.info("opened")
    assert log.lines()[0]["event"] == "opened"


def test_console_without_a_terminal_has_no_colors(clock: FakeClock) -> None:
    log = Log(clock, form="console")
    log.logger.info("opened", stream="lobby")
    assert "\x1b[" not in log.stream.getvalue()
    assert "stream=lobby" in log.stream.getvalue()


URL = "rtsp://root:hunter22@10.0.0.7/stream1"


def refuse() -> None:
    raise OSError(5, "no answer", URL)


@pytest.mark.parametrize("form", ["json", "console"])
def test_credentials_appear_nowhere(clock: FakeClock, form: str) -> None:
    log = Log(clock, form=form)
    text = f"opening {URL}"
    log.logger.info(text, url=URL, nested={"urls": [URL, (URL,)]}, error=OSError(5, "i/o", URL))
    logging.getLogger("libav.rtsp").warning("method DESCRIBE of %s failed", URL)
    try:
        refuse()
    except OSError as error:
        log.logger.exception("failed", error=error)
    text = log.stream.getvalue()
    assert "hunter22" not in text
    assert text.count("***") >= 8
    assert "Traceback" in text


def test_uncaught_exceptions_are_logged_without_credentials(clock: FakeClock) -> None:
    log = Log(clock)

    def fail() -> None:
        raise ValueError(URL)

    thread = threading.Thread(target=fail, name="camera-lobby")
    thread.start()
    thread.join()
    (line,) = log.lines()
    assert (line["event"], line["level"], line["thread"]) == ("uncaught", "critical", "camera-lobby")
    assert "ValueError: rtsp://root:***@10.0.0.7/stream1" in line["exception"]


def test_uncaught_exception_of_the_main_thread_is_logged_without_credentials() -> None:
    code = f"from framelane.core.log import setup; setup(); raise ValueError({URL!r})"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env)
    assert ended.returncode == 1
    assert json.loads(ended.stderr)["event"] == "uncaught"
    assert "hunter22" not in ended.stderr


@pytest.mark.parametrize(
    "values",
    [
        {"name": "lone \udcff surrogate"},
        {"number": 2**80},
        {"thing": object()},
        {"thing": b"\xff"},
        {"thing": {1: {2: 3}}},
        {"thing": {1, 2}},
    ],
)
@pytest.mark.parametrize("form", ["json", "console"])
def test_odd_values_do_not_raise(clock: FakeClock, form: str, values: dict[str, Any]) -> None:
    log = Log(clock, form=form)
    log.logger.info("odd", **values)
    assert len(log.stream.getvalue().splitlines()) == 1


def test_log_that_cannot_be_written_stops_nothing(clock: FakeClock) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    Log(clock, stream=Full()).logger.error("opened")
    closed = io.StringIO()
    log = Log(clock, stream=closed)
    closed.close()
    log.logger.error("opened")


def test_repeated_fault_passes_once_per_second_and_says_how_often(clock: FakeClock) -> None:
    log = Log(clock)
    for _ in range(10):
        log.logger.warning("decode_failed", stream="lobby", pts=clock.now_s)
        clock.now_s += 0.25
    assert [(line["pts"], line.get("repeated")) for line in log.lines()] == [(0.0, None), (1.0, 3), (2.0, 3)]


def test_faults_of_other_streams_reasons_and_levels_are_not_held_back(clock: FakeClock) -> None:
    log = Log(clock)
    for _ in range(2):
        log.logger.warning("down", stream="a", reason="refused")
        log.logger.warning("down", stream="b", reason="refused")
        log.logger.warning("down", stream="b", reason="timeout")
        log.logger.info("down", stream="a", reason="refused")
    assert len(log.lines()) == 5


def test_library_messages_fold_by_their_format_string(clock: FakeClock) -> None:
    log = Log(clock)
    for number in range(5):
        logging.getLogger("paho").warning("message %d lost", number)
    logging.getLogger("paho").warning("other")
    assert [line["event"] for line in log.lines()] == ["message 0 lost", "other"]


def test_ffmpeg_is_folded_to_one_line_per_second_for_each_component(clock: FakeClock) -> None:
    log = Log(clock)
    for number in range(1000):
        text = f"error while decoding MB {number}"  # PyAV hands over whole texts
        logging.getLogger("libav.h264").warning(text)
        logging.getLogger("libav.rtsp").warning(text)
    clock.now_s += 1.0
    logging.getLogger("libav.h264").warning("concealing 12 errors")
    assert [(line["logger"], line.get("repeated")) for line in log.lines()] == [
        ("libav.h264", None),
        ("libav.rtsp", None),
        ("libav.h264", 999),
    ]


def test_fold_has_bounded_memory(clock: FakeClock) -> None:
    fold = Fold(clock, most=10)
    for number in range(1000):
        fold(None, "warning", {"event": f"fault {number}"})
    assert len(fold._seen) == 10


def test_lines_of_threads_do_not_mix(clock: FakeClock) -> None:
    log = Log(clock)
    threads = [
        threading.Thread(target=lambda: [log.logger.info("x" * 500) for _ in range(100)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log.lines()) == 400


def test_ffmpeg_itself_stays_silent() -> None:
    av_logging = pytest.importorskip("av.logging")
    assert av_logging.get_level() is None
