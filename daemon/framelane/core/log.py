"""Logging: structlog and stdlib logging in one stream, folded and redacted, as console or JSON lines.

FFmpeg's log stays off, which is PyAV's default. PyAV's log callback takes the GIL on FFmpeg's threads, which
has caused deadlocks (PyAV #751), crashes (#2394) and high CPU load (#2276). FFmpeg's own callback would print
URLs with passwords to stderr. FFmpeg's errors reach us as exceptions and counted drops. If a tool enables
`av.logging` for a moment, on one thread, the `libav` loggers are handled here like all others.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Literal, TextIO

import structlog

from framelane.core.clock import SystemClock
from framelane.core.fold import FOLD_KEY, Fold
from framelane.core.log_tail import TAIL
from framelane.core.redact import redact_event
from framelane.core.systemd import is_journal, with_priority

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from structlog.typing import EventDict, Processor

    from framelane.core.clock import Clock

LevelName = Literal["debug", "info", "warning", "error"]
FormatName = Literal["auto", "json", "console"]

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def setup(
    level: LevelName = "info",
    form: FormatName = "auto",
    *,
    clock: Clock | None = None,
    stream: TextIO | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Send all logging of the process to `stream`; may be called again.

    Args:
        level: lowest severity to log; libraries log warnings and above, unless it is "debug".
        form: "auto" is "console" on a terminal and "json" elsewhere.
        clock: source of time stamps and of time for folding.
        stream: the output; standard error by default.
        tags: fields added to every line, such as the name of a worker process.
    """
    clock = clock or SystemClock()
    stream = stream or sys.stderr
    if form == "auto":
        form = "console" if stream.isatty() else "json"
    lines = _Lines(stream)
    structlog.configure(
        processors=[
            _add_logger_name,
            Fold(clock),
            structlog.processors.add_log_level,
            _add_thread_name,
            lambda _logger, _method, event: {**event, **(tags or {})},
            _Timestamp(clock),
            structlog.processors.format_exc_info,
            redact_event,
            TAIL,
            _renderer(form, colors=stream.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *name: _NamedLines(lines, name[0] if name else "framelane"),
        cache_logger_on_first_use=False,
    )
    _route_libraries(logging.DEBUG if level == "debug" else max(LEVELS[level], logging.WARNING))
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


class _Lines:
    """Writes whole lines to a stream, from any thread; write errors are ignored."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._journal = is_journal(stream)
        self._lock = threading.Lock()

    def write(self, line: str, level: int) -> None:
        if self._journal:
            line = with_priority(line, level)
        with self._lock:
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                # A full disk, a closed pipe or a closed file.
                return


class _NamedLines:
    """A logger as structlog expects it: one method per level."""

    def __init__(self, lines: _Lines, name: str) -> None:
        self.name = name
        self.debug = partial(lines.write, level=logging.DEBUG)
        self.info = partial(lines.write, level=logging.INFO)
        self.warning = partial(lines.write, level=logging.WARNING)
        self.error = partial(lines.write, level=logging.ERROR)
        self.critical = partial(lines.write, level=logging.CRITICAL)


class _Timestamp:
    """Adds `timestamp`: ISO 8601, UTC, microseconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self, _logger: object, _method: str, event: EventDict) -> EventDict:
        moment = datetime.fromtimestamp(self._clock.wall(), timezone.utc)
        event["timestamp"] = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
        return event


class _LibraryHandler(logging.Handler):
    """Passes records of stdlib logging to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            # The library's arguments don't fit its format string.
            text = str(record.msg)
        # FFmpeg's texts contain numbers and addresses, so its lines are folded per component.
        kind = record.name if record.name.startswith("libav") else f"{record.name} {record.msg}"
        fields = {"logger": record.name, "exc_info": record.exc_info}
        if record.levelno >= logging.WARNING:
            fields[FOLD_KEY] = kind
        logger = structlog.get_logger(record.name)
        logger.log(min(record.levelno // 10 * 10, logging.CRITICAL) or logging.DEBUG, text, **fields)


def _route_libraries(level: int) -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _LibraryHandler)]:
        root.removeHandler(handler)
    root.addHandler(_LibraryHandler())
    root.setLevel(level)
    logging.captureWarnings(capture=True)


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    structlog.get_logger(__name__).critical("uncaught", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    # None while the interpreter shuts down.
    if args.exc_value is not None:
        _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def _renderer(form: FormatName, *, colors: bool) -> Processor:
    if form == "json":
        # Not orjson: a log line with a lone surrogate or a huge integer must not raise.
        return structlog.processors.JSONRenderer(json.dumps, default=str)
    return structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)


def _add_logger_name(logger: _NamedLines, _method: str, event: EventDict) -> EventDict:
    event.setdefault("logger", logger.name)
    return event


def _add_thread_name(_logger: object, _method: str, event: EventDict) -> EventDict:
    event["thread"] = threading.current_thread().name
    return event
