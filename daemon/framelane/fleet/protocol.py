"""Messages between parent and worker, sent through pipes as length-prefixed pickles.

Pickle is safe here: both ends are the same program, and no other process holds the pipes.
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
    from collections.abc import Mapping, Sequence

    from framelane.config.sections.schema import Config
    from framelane.core.errors import Finding, FramelaneError
    from framelane.core.events import Event, Occupancy
    from framelane.core.frames import ModelInfo, Result
    from framelane.core.log_tail import LogLine
    from framelane.fleet.packed_image import PackedImage
    from framelane.telemetry.meters import Counts
    from framelane.telemetry.sink_health import SinkHealth
    from framelane.telemetry.states import StreamState
    from framelane.telemetry.stats import ProcessSample

_LENGTH = struct.Struct(">I")
# A snapshot takes 17 KB per stream.
_MOST_BYTES = 1 << 28
_AT_ONCE = 1 << 20


class PipeBrokenError(Exception):
    """The bytes from the pipe are no message."""


@dataclass(frozen=True, slots=True)
class Order:
    """From the parent, once: what to run.

    Attributes:
        config: the worker's configuration.
        name: the worker's name.
        parent: the parent's process id.
        answer_to: the file descriptor for messages to the parent.
        media: the file descriptor of the socket on which the parent watches streams.
    """

    config: Config
    name: str
    parent: int
    answer_to: int
    media: int


@dataclass(frozen=True, slots=True)
class Ask:
    """From the parent: send a snapshot now."""


@dataclass(frozen=True, slots=True)
class RetryLogins:
    """From the parent: retry now the cameras that refused a login."""


@dataclass(frozen=True, slots=True)
class Change:
    """From the parent, once the worker has started: prepare for a new configuration, or switch to it.

    Attributes:
        number: the number of the answer.
        config: the new configuration.
        commit: whether to switch to it.
    """

    number: int
    config: Config
    commit: bool


@dataclass(frozen=True, slots=True)
class Detect:
    """From the parent: find objects in an image.

    Attributes:
        number: the number of the answer.
        image: the image.
        model: name of the model; None for the first.
        confidence: least confidence; None for the model's own.
    """

    number: int
    image: PackedImage
    model: str | None
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Started:
    """From the worker: all parts run. `run` is the run id in its detections."""

    run: str
    models: tuple[ModelInfo, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """From the worker: a stream's new state."""

    state: StreamState


@dataclass(frozen=True, slots=True)
class Happened:
    """From the worker: what has happened on its streams, and how many events it had to drop before."""

    happenings: tuple[Event | Occupancy, ...]
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """From the worker, every second: its figures.

    Attributes:
        counts: its meters.
        last_frames: monotonic time of each stream's newest frame; the clock is the host's, so also the
            parent's.
        sinks: the health of its sinks.
        liveness_reasons: why it judges itself not alive.
        used: its memory and CPU.
        log: lines that it has logged since the last snapshot.
    """

    counts: Counts
    last_frames: Mapping[str, float]
    sinks: tuple[SinkHealth, ...]
    liveness_reasons: tuple[str, ...]
    used: ProcessSample
    log: Sequence[LogLine] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """From the worker: it can't start, go on or change.

    The exit code, text and findings are those that `framelane run` would end with.
    """

    exit_code: int
    text: str
    findings: tuple[Finding, ...] = ()

    @staticmethod
    def of(error: FramelaneError) -> Failed:
        """Wrap an error."""
        findings = tuple(error.findings) if isinstance(error, ConfigError) else ()
        return Failed(error.exit_code, str(error), findings)


@dataclass(frozen=True, slots=True)
class Answered:
    """From the worker: the answer to a Change; `failure` is None if it was done."""

    number: int
    models: tuple[ModelInfo, ...]
    failure: Failed | None


@dataclass(frozen=True, slots=True)
class Detected:
    """From the worker: what was found in an image, or the reason and text of a RequestError."""

    number: int
    result: Result | None
    refusal: tuple[str, str] | None = None


Orders = Order | Ask | RetryLogins | Change | Detect
News = Started | Changed | Happened | Snapshot | Failed | Answered | Detected


def send(descriptor: int, message: Orders | News) -> None:
    """Write a whole message; wait while the pipe is full. Raise OSError if the reading end is closed."""
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    rest = memoryview(_LENGTH.pack(len(body)) + body)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


class Inbox:
    """Reads messages from a pipe."""

    def __init__(self, descriptor: int) -> None:
        self.ended = False
        """Whether the other side has closed it."""
        self._descriptor = descriptor
        self._bytes = bytearray()
        # Not select(), which fails from descriptor 1024 on.
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    def wait(self, timeout_s: float) -> list[Orders | News]:
        """Return new messages; none after `timeout_s`, or if the other side has closed the pipe.

        Raises:
            PipeBrokenError: the bytes are no message.
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
                raise PipeBrokenError(f"a message of {size} bytes")
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
        raise PipeBrokenError(f"no message: {type(error).__name__}") from error
    if not isinstance(message, Orders | News):
        raise PipeBrokenError(f"an unknown message: {type(message).__name__}")
    return message
