"""The errors Framelane raises on purpose, each with the exit code it ends the process with."""

from __future__ import annotations

from dataclasses import dataclass


class FramelaneError(Exception):
    """Base of all errors whose message is written for an operator."""

    exit_code = 1
    ends_at_once = False
    """Whether the process ends without the interpreter's own clean-up, since threads of it may hang in a call."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a configuration: where (a key path such as `streams[2].url`) and what."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ConfigError(FramelaneError):
    """The configuration can't be used; `findings` lists everything wrong with it, not only the first."""

    exit_code = 2

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        super().__init__("\n".join(str(finding) for finding in findings))


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
