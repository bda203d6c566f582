"""The errors that Framelane raises on purpose, each with its exit code."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from framelane.core.stream_reasons import StreamReason


class FramelaneError(Exception):
    """Base of all errors whose message is for an operator."""

    exit_code = 1
    ends_at_once = False
    """Whether the process must skip the interpreter's clean-up, because a thread may hang in a call."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem in a configuration.

    Attributes:
        path: key path within its file, such as `streams[2].url`; empty for the whole file.
        message: text for the operator, without credentials.
        file: the file; empty for the main file.
        line: line number, from 1; 0 if there is none.
    """

    path: str
    message: str
    file: str = ""
    line: int = field(default=0, compare=False)

    def __str__(self) -> str:
        what = f"{self.path}: {self.message}" if self.path else self.message
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {what}" if self.file else what

    def within(self, main: Path | str) -> str:
        """Return the finding with its file and line; `main` is the file if the finding names none."""
        return str(self if self.file else replace(self, file=str(main)))


class ConfigError(FramelaneError):
    """The configuration can't be used; `findings` lists everything wrong with it."""

    exit_code = 2

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        super().__init__("\n".join(str(finding) for finding in findings))


class RestartNeededError(ConfigError):
    """The configuration is valid but changes keys that need a restart; `findings` names them."""


class UnknownStreamError(FramelaneError):
    """No stream has this id."""


class ConflictError(FramelaneError):
    """The request conflicts with the current state, such as a taken id or a file written by hand."""


class NotStoredError(ConflictError):
    """The change can't be stored in a file; it can be made until the files are read again."""


class BusyError(FramelaneError):
    """As many requests of this kind are in progress as may be; another one may succeed in `retry_s` seconds."""

    def __init__(self, message: str, retry_s: int) -> None:
        self.retry_s = retry_s
        super().__init__(message)


class RequestError(FramelaneError):
    """The request can't be served, at least not now; `reason` is one word for programs."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class ModelError(FramelaneError):
    """A model can't be loaded, or Framelane can't run it."""

    exit_code = 3


class SourceError(FramelaneError):
    """A stream can't be opened or read; `reason` is the word in the stream's state."""

    def __init__(self, reason: StreamReason, message: str) -> None:
        self.reason = reason
        super().__init__(message)
