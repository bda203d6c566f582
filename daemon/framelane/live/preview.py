"""A camera's sub-stream, which the page plays instead of the stream: read while somebody watches, never decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import orjson
import structlog

from framelane.config.sections.stream import StreamConfig
from framelane.core.backoff import Backoff
from framelane.core.errors import SourceError
from framelane.core.redact import redact
from framelane.core.worker import Worker
from framelane.live.records import Kind, Record
from framelane.sources.interfaces.tap import UnitOrigin
from framelane.sources.network.certificates import UNVERIFIED, is_unverified
from framelane.sources.retry import Proof, Retry
from framelane.sources.rtsp.camera_units import CameraUnits
from framelane.sources.rtsp.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from framelane.core.clock import Clock
    from framelane.core.stream_reasons import StreamReason
    from framelane.sources.interfaces.tap import UnitWatcher
    from framelane.sources.interfaces.units import Unit
    from framelane.sources.rtsp.reactor import Reactor

log = structlog.get_logger(__name__)

_SHARED = (
    "backoff",
    "clock",
    "low_latency",
    "open_timeout_s",
    "read_timeout_s",
    "tls",
    "transport",
)
"""Options of a stream that apply to its sub-stream too."""
_PLAYED = frozenset({"h264", "hevc"})
_BEFORE_S = 0.1
_UNPLAYED = "is {codec}, which browsers do not play as video; set the sub-stream to H.264"


@dataclass(frozen=True, slots=True)
class PreviewState:
    """The state of a sub-stream, as pages show it.

    Attributes:
        state: whether pictures come.
        reason: one word, as in a stream's state.
        text: the reason as a sentence, without credentials.
    """

    state: Literal["connecting", "live", "down"]
    reason: StreamReason
    text: str

    def record(self) -> Record:
        """Return the record for viewers."""
        shown = {"state": self.state, "reason": self.reason, "text": self.text}
        return Record(Kind.PREVIEW, 0.0, 0.0, orjson.dumps(shown))


OPENING = PreviewState("connecting", "opening", "the sub-stream is being opened")


class Preview:
    """A stream's sub-stream, and what is known of earlier attempts to read it.

    Args:
        options: where it is and how it is read, as for a stream.
        reactor: reads it.
        clock: the source of time.
    """

    def __init__(self, options: StreamConfig, reactor: Reactor, clock: Clock) -> None:
        self.options = options
        self.reactor = reactor
        self.clock = clock
        self.url = options.url.get_secret_value()
        self.backoff = Backoff(options.backoff.first_s, options.backoff.most_s)
        self.retry = Retry(self.url, self.backoff, clock)
        self.readers: list[PreviewReader] = []
        """Those of this stream that run, and perhaps some that have ended."""
        self.fault: tuple[PreviewState, float] | None = None
        """The last fault, and the monotonic time of the next try; viewers that come and go change neither."""

    @staticmethod
    def of(stream: StreamConfig, reactor: Reactor, clock: Clock) -> Preview | None:
        """Return the sub-stream of a stream; None if it has none."""
        if stream.preview_url is None:
            return None
        shared = {key: getattr(stream, key) for key in _SHARED}
        options = StreamConfig.model_validate({"id": stream.id, "url": stream.preview_url, **shared})
        return Preview(options, reactor, clock)

    def is_like(self, other: Preview | None) -> bool:
        """Return whether the other one is read in the same way."""
        return other is not None and self.options == other.options

    def retry_login(self) -> None:
        """Retry a refused login now, or when the next viewer comes."""
        self.fault = None
        self.retry.retry_login()

    def open(self, put: UnitWatcher, tell: Callable[[PreviewState], None]) -> PreviewReader:
        """Read it from now on, and again after each fault, until the reader is stopped.

        Earlier readers end first, because many cameras allow only one session.

        Args:
            put: takes units on the reactor's thread; returns at once.
            tell: takes changes of the state, on the reader's thread.
        """
        before = [each for each in self.readers if each.alive]
        reader = PreviewReader(self, put, tell, before)
        self.readers[:] = [*before, reader]
        reader.start()
        return reader


class PreviewReader(Worker):
    """Reads one sub-stream; see `Preview.open`."""

    def __init__(
        self,
        preview: Preview,
        put: UnitWatcher,
        tell: Callable[[PreviewState], None],
        before: Sequence[Worker],
    ) -> None:
        super().__init__(f"preview-{preview.options.id}")
        self.stream = preview.options.id
        self._preview = preview
        self._options = preview.options
        self._clock = preview.clock
        self._put = put
        self._tell = tell
        self._before = before
        self._units: CameraUnits | None = None
        self._warned = False
        self._came = False

    def run_once(self) -> None:
        """Open the sub-stream and show its units until it ends."""
        if not self._is_free() or self._has_to_wait():
            return
        self._tell(OPENING)
        if is_unverified(self._preview.url, self._options) and not self._warned:
            self._warned = True
            log.warning("tls_unverified", stream=self.stream, preview=True, text=UNVERIFIED)
        with self._open() as units:
            self._preview.retry.accepted()
            self._came = False
            origin = UnitOrigin(units.media.codec)
            units.start(lambda unit: self._show(origin, unit))
            self._units = units
            try:
                self._follow(units)
            finally:
                self._units = None

    def failed(self, error: Exception) -> float:
        """Show the fault; return the seconds until the next try."""
        if self.stopping.is_set():
            return 0.0
        reason: StreamReason = error.reason if isinstance(error, SourceError) else "failed"
        wait_s = self._preview.retry.after(reason)
        text = redact(str(error))
        state = PreviewState("down", reason, text + self._preview.retry.remark(wait_s))
        self._preview.fault = state, self._clock.monotonic() + wait_s
        self._tell(state)
        log.warning(
            "preview_down",
            stream=self.stream,
            reason=reason,
            text=text,
            retry_s=round(wait_s, 1),
            exc_info=None if isinstance(error, SourceError) else error,
        )
        return wait_s

    def rest(self, wait_s: float) -> None:
        """Wait for the next try; ends early if the camera can be reached again."""
        self._preview.retry.wait(wait_s, self.stopping)
        if not self.stopping.is_set():
            self._preview.fault = None

    def wake(self) -> None:
        """Make the thread check whether to stop."""
        units = self._units
        if units is not None:
            units.wake()

    def _is_free(self) -> bool:
        """Return whether all earlier readers have ended; wait a moment if not."""
        self._before = [each for each in self._before if not each.join(_BEFORE_S)]
        return not self._before

    def _has_to_wait(self) -> bool:
        """Wait for the next try if an earlier reader had to, such as for a refused login; return whether it had."""
        fault = self._preview.fault
        if fault is None:
            return False
        state, next_s = fault
        self._tell(state)
        self.rest(max(next_s - self._clock.monotonic(), 0.0))
        return True

    def _open(self) -> CameraUnits:
        preview = self._preview
        try:
            units = CameraUnits(preview.url, self._options, self._clock, preview.reactor, self.stopping)
        except UnsupportedError as error:
            raise SourceError(
                "reader", f"Framelane's own reader can't read the sub-stream: {error}"
            ) from None
        if units.media.codec not in _PLAYED:
            units.close()
            raise SourceError("codec", f"the sub-stream {_UNPLAYED.format(codec=units.media.codec)}")
        return units

    def _follow(self, units: CameraUnits) -> None:
        proof = Proof(self._clock, self._preview.backoff)
        live = False
        while not self.stopping.is_set():
            units.wait()
            units.check_end()
            proof.look()
            if self._came and not live:
                live = True
                self._tell(PreviewState("live", "ok", "pictures arrive"))
                log.info("preview_live", stream=self.stream, codec=units.media.codec)

    def _show(self, origin: UnitOrigin, unit: Unit) -> bool:
        """Show a unit, and return whether to wake the reader's thread: only for the first one."""
        self._put(origin, unit)
        first, self._came = not self._came, True
        return first
