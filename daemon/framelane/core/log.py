"""The one log: structlog and stdlib logging in one pipe, folded, redacted, as console or JSON lines.

FFmpeg stays silent, which is PyAV's default and must remain so: its log callback takes the GIL on FFmpeg's
threads, which has cost others deadlocks (PyAV #751), crashes (#2394) and most of their CPU (#2276); FFmpeg's
own callback would print URLs with passwords to stderr. Its errors reach us as exceptions and counted drops.
Where a tool turns `av.logging` on for a moment, on one thread, the `libav` loggers come through here like all
others.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections import OrderedDict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Literal, TextIO

import structlog

from framelane.core.clock import SystemClock
from framelane.core.redact import redact_event

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from structlog.typing import EventDict, Processor

    from framelane.core.clock import Clock

LevelName = Literal["debug", "info", "warning", "error"]
FormatName = Literal["auto", "json", "console"]

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_FAULTS = ("warning", "error", "critical")
_WHO = ("logger", "event", "stream", "model", "worker", "sink", "state", "reason")
_FOLD_KEY = "_fold"


def setup(
    level: LevelName = "info",
    form: FormatName = "auto",
    *,
    clock: Clock | None = None,
    stream: TextIO | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Send all logging of the process through one pipe to `stream`; may be called again.

    Args:
        level: least severity that is logged; of libraries nothing below warning, unless it is "debug".
        form: "auto" writes for people on a terminal, and JSON lines elsewhere.
        clock: for time stamps and folding.
        stream: standard error by default.
        tags: fields of every line, such as which of several processes writes it.
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
            _renderer(form, colors=stream.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *name: _NamedLines(lines, name[0] if name else "framelane"),
        cache_logger_on_first_use=False,
    )
    _route_libraries(logging.DEBUG if level == "debug" else max(LEVELS[level], logging.WARNING))
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


class Fold:
    """Lets the same fault of a stream pass once a second and counts the others; a structlog processor.

    The line that passes after some were held back says `repeated`. Below warning nothing is folded: two state
    changes of a stream within a second are both news. Memory is bounded: of more than `most` kinds of faults
    the oldest are forgotten.
    """

    def __init__(self, clock: Clock, every_s: float = 1.0, most: int = 1024) -> None:
        self._clock = clock
        self._every_s = every_s
        self._most = most
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[object, ...], tuple[float, int]] = OrderedDict()

    def __call__(self, _logger: object, method: str, event: EventDict) -> EventDict:
        """Pass the event on or raise DropEvent."""
        kind = event.pop(_FOLD_KEY, None)
        if method not in _FAULTS:
            return event
        held = self._held((kind,) if kind else tuple(str(event.get(field)) for field in _WHO))
        if held:
            event["repeated"] = held
        return event

    def _held(self, key: tuple[object, ...]) -> int:
        """How many of this kind were held back since one passed; raises DropEvent to hold this one back."""
        now_s = self._clock.monotonic()
        with self._lock:
            passed_s, held = self._seen.get(key, (float("-inf"), 0))
            if now_s - passed_s < self._every_s:
                self._seen[key] = (passed_s, held + 1)
                raise structlog.DropEvent
            self._seen[key] = (now_s, 0)
            self._seen.move_to_end(key)
            if len(self._seen) > self._most:
                self._seen.popitem(last=False)
        return held


class _Lines:
    """Whole lines to a stream, from any thread; a log that can't be written stops nothing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def write(self, line: str) -> None:
        with self._lock:
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except (OSError, ValueError):  # a full disk, a reader that left, a closed file
                return


class _NamedLines:
    """What structlog calls a logger: a method per level, all alike here."""

    def __init__(self, lines: _Lines, name: str) -> None:
        self.name = name
        self.debug = self.info = self.warning = self.error = self.critical = lines.write


class _Timestamp:
    """Adds `timestamp`: ISO 8601, UTC, microseconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self, _logger: object, _method: str, event: EventDict) -> EventDict:
        moment = datetime.fromtimestamp(self._clock.wall(), timezone.utc)
        event["timestamp"] = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
        return event


class _LibraryHandler(logging.Handler):
    """Hands records of stdlib logging to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except (TypeError, ValueError):  # arguments that don't fit the library's own format string
            text = str(record.msg)
        # FFmpeg puts numbers and addresses into its texts: one line a second for each of its parts.
        kind = record.name if record.name.startswith("libav") else f"{record.name} {record.msg}"
        fields = {"logger": record.name, _FOLD_KEY: kind, "exc_info": record.exc_info}
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
    if args.exc_value is not None:  # None: the interpreter is going down
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
