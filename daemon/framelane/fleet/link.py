"""What parent and worker tell each other, and how it goes through a pipe: pickles with their length before them.

Both ends are the same program, and nobody else holds the pipe: pickle, because these are plain values of ours.
"""

from __future__ import annotations

import os
import pickle
import select
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.config.schema import Config
    from framelane.core.errors import Finding, FramelaneError
    from framelane.core.frames import ModelInfo
    from framelane.sinks.sink import SinkHealth
    from framelane.telemetry.meters import Counts
    from framelane.telemetry.states import StreamState
    from framelane.telemetry.stats import ProcessSample

_LENGTH = struct.Struct(">I")
_MOST_BYTES = 1 << 28  # a snapshot takes 17 KB a stream
_AT_ONCE = 1 << 20


class LinkBrokenError(Exception):
    """What comes through the pipe is no message."""


@dataclass(frozen=True, slots=True)
class Order:
    """From the parent, once: what to run, as which worker (its name), and where to answer."""

    config: Config
    name: str
    parent: int
    answer_to: int


@dataclass(frozen=True, slots=True)
class Ask:
    """From the parent: send a snapshot now."""


@dataclass(frozen=True, slots=True)
class Hurry:
    """From the parent: try again at once what waits for its next login."""


@dataclass(frozen=True, slots=True)
class Change:
    """From the parent, once the worker has started: other streams, to be made ready for or to be gone over to.

    Attributes:
        number: the answer's.
        config: what to run.
        commit: whether to go over to it.
    """

    number: int
    config: Config
    commit: bool


@dataclass(frozen=True, slots=True)
class Started:
    """All parts run; the run's id is that of the worker's detections."""

    run: str
    models: tuple[ModelInfo, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """A stream's new state."""

    state: StreamState


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How the worker stands, every second.

    Attributes:
        counts: its meters.
        last_frames: monotonic time of each stream's newest frame; the clock is the host's, so the parent's too.
        sinks: how its sinks fare.
        ailments: what its own liveness verdict holds against it.
        used: its memory and CPU.
    """

    counts: Counts
    last_frames: Mapping[str, float]
    sinks: tuple[SinkHealth, ...]
    ailments: tuple[str, ...]
    used: ProcessSample


@dataclass(frozen=True, slots=True)
class Failed:
    """It can't start or go on, or change; the exit code and message of one process alone, and findings if any."""

    exit_code: int
    text: str
    findings: tuple[Finding, ...] = ()

    @staticmethod
    def of(error: FramelaneError) -> Failed:
        """An error, to be told."""
        findings = tuple(error.findings) if isinstance(error, ConfigError) else ()
        return Failed(error.exit_code, str(error), findings)


@dataclass(frozen=True, slots=True)
class Answered:
    """A change was done, or why not."""

    number: int
    models: tuple[ModelInfo, ...]
    failure: Failed | None


Orders = Order | Ask | Hurry | Change
News = Started | Changed | Snapshot | Failed | Answered


def send(descriptor: int, message: Orders | News) -> None:
    """Write a message whole; waits while the pipe is full, raises OSError where nobody reads any more."""
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    rest = memoryview(_LENGTH.pack(len(body)) + body)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


class Inbox:
    """Reads messages off a pipe."""

    def __init__(self, descriptor: int) -> None:
        self.ended = False
        """Whether the other side has closed it."""
        self._descriptor = descriptor
        self._bytes = bytearray()
        self._poll = select.poll()  # not select(), which fails from descriptor 1024 on
        self._poll.register(descriptor, select.POLLIN)

    def wait(self, timeout_s: float) -> list[Orders | News]:
        """What has come; nothing after `timeout_s`, or where the other side has closed the pipe.

        Raises:
            LinkBrokenError: it is no message.
        """
        if self.ended or not self._poll.poll(timeout_s * 1e3):
            return []
        some = os.read(self._descriptor, _AT_ONCE)
        self.ended = not some
        self._bytes += some
        return self._whole()

    def _whole(self) -> list[Orders | News]:
        messages = []
        at = 0
        while len(self._bytes) >= at + _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._bytes, at)
            if size > _MOST_BYTES:
                raise LinkBrokenError(f"a message of {size} bytes")
            end = at + _LENGTH.size + size
            if len(self._bytes) < end:
                break
            messages.append(_decoded(bytes(self._bytes[at + _LENGTH.size : end])))
            at = end
        del self._bytes[:at]
        return messages


def _decoded(body: bytes) -> Orders | News:
    try:
        message = pickle.loads(body)  # noqa: S301 - our own process at the other end
    except (
        pickle.UnpicklingError,
        ValueError,
        TypeError,
        EOFError,
        LookupError,
        AttributeError,
        ImportError,
    ) as error:
        raise LinkBrokenError(f"no message: {type(error).__name__}") from error
    if not isinstance(message, Orders | News):
        raise LinkBrokenError(f"an unknown message: {type(message).__name__}")
    return message
