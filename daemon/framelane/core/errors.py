"""The errors Framelane raises on purpose, each with the exit code it ends the process with."""

from __future__ import annotations

from dataclasses import dataclass, field


class FramelaneError(Exception):
    """Base of all errors whose message is written for an operator."""

    exit_code = 1
    ends_at_once = False
    """Whether the process ends without the interpreter's own clean-up, since threads of it may hang in a call."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a configuration: where and what.

    Attributes:
        path: key path within its file, such as `streams[2].url`; empty for the whole file.
        message: for the operator; holds no credential.
        file: the file, where it is not the main one.
        line: its line there, from 1; 0 where there is none to name.
    """

    path: str
    message: str
    file: str = ""
    line: int = field(default=0, compare=False)

    def __str__(self) -> str:
        what = f"{self.path}: {self.message}" if self.path else self.message
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {what}" if self.file else what


class ConfigError(FramelaneError):
    """The configuration can't be used; `findings` lists everything wrong with it, not only the first."""

    exit_code = 2

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        super().__init__("\n".join(str(finding) for finding in findings))


class RestartNeededError(ConfigError):
    """The configuration is good, and differs in keys that only a restart can change; `findings` names them."""


class UnknownStreamError(FramelaneError):
    """No stream has this id."""


class ConflictError(FramelaneError):
    """What is asked for can't be done as things stand: an id that is taken, a file that others keep."""


class RequestError(FramelaneError):
    """What is asked for can't be had, or not now; `reason` is one word of it, for a program."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class ModelError(FramelaneError):
    """A model can't be loaded or does not fit what Framelane can run."""

    exit_code = 3


class SourceError(FramelaneError):
    """A stream can't be opened or read; `reason` is the short word consumers see in the stream's state."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)
