"""Forwards TensorRT's log to ours: verbose messages at debug level, each warning once. Builds can listen."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    # Severity and text.
    Listener = Callable[[str, str], None]

log = structlog.get_logger(__name__)

ERRORS = frozenset({"INTERNAL_ERROR", "ERROR"})
_MOST_REMEMBERED = 256


class Journal:
    """Routes TensorRT's messages.

    While a function listens, it decides about errors: a kernel that does not fit in memory is an error to
    TensorRT, but not to us.
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
        """Pass every message to a function within the block; it is called on TensorRT's threads."""
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
"""The single instance: TensorRT accepts one logger per process."""


@cache
def logger(trt: Any) -> Any:  # noqa: ANN401 - TensorRT has no types
    """Return the process's logger, for Builder, Runtime and OnnxParser."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, text: str) -> None:  # noqa: ANN401
            journal.heard(severity.name, text)

    return Logger()
