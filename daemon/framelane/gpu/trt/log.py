"""TensorRT's log in ours: its chatter at debug, a warning once; and who wants to listen while an engine is built."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Listener = Callable[[str, str], None]  # severity, text

log = structlog.get_logger(__name__)

ERRORS = frozenset({"INTERNAL_ERROR", "ERROR"})
_MOST_REMEMBERED = 256


class Journal:
    """Where TensorRT's messages go.

    While somebody listens, errors are theirs to report: a kernel that doesn't fit in memory is an error to TensorRT
    and nothing to us.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._warned: set[str] = set()
        self._listeners: list[Listener] = []

    def heard(self, severity: str, text: str) -> None:
        """Take a message."""
        for listener in tuple(self._listeners):
            listener(severity, text)
        if severity in ERRORS and not self._listeners:
            log.error("tensorrt", text=text)
        elif severity == "WARNING" and self._is_new(text):
            log.warning("tensorrt", text=text)
        else:
            log.debug("tensorrt", severity=severity.lower(), text=text)

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """A block in which a function gets every message; it is called on TensorRT's threads."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def _is_new(self, text: str) -> bool:
        with self._lock:
            if text in self._warned:
                return False
            if len(self._warned) < _MOST_REMEMBERED:
                self._warned.add(text)
            return True


journal = Journal()
"""The process's only one: TensorRT takes one logger a process."""


@cache
def logger(trt: Any) -> Any:  # noqa: ANN401 - TensorRT has no types
    """The process's logger, to be given to Builder, Runtime and OnnxParser."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, text: str) -> None:  # noqa: ANN401
            journal.heard(severity.name, text)

    return Logger()
