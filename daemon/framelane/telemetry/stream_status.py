"""One stream's state machine, driven by its camera thread."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Protocol

import structlog

from framelane.core.fold import FOLD_KEY
from framelane.telemetry.states import MODEL_FAILING, StreamDetails, StreamState

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.core.clock import Clock
    from framelane.core.stream_reasons import StreamReason
    from framelane.telemetry.meters import StreamMeter
    from framelane.telemetry.states import StateName

log = structlog.get_logger(__name__)

_MOST_SILENCE_S = 4.0
# Share of the read timeout, so that a stall shows before the connection is given up.
_SILENT_SHARE = 0.8
_UNKNOWN_INTERVAL_S = 1.0
_UNUSABLE = "they can't be decoded"
_KEY_FRAME = "waiting for a key frame; shorten the camera's GOP if this takes long"


def _nothing() -> None:
    """Do nothing."""


class Board(Protocol):
    """Holds and reports all streams' states; see StatusBoard."""

    clock: Clock

    def change(
        self,
        status: StreamStatus,
        state: StateName,
        reason: str,
        text: str,
        *,
        only_from: StateName | None = None,
    ) -> None:
        """Move a stream to a state, or do nothing if `only_from` is another state."""
        ...

    def describe(self, status: StreamStatus, details: StreamDetails) -> None:
        """Set a stream's details."""
        ...


class StreamStatus:
    """One stream's state machine, driven by its camera thread; created by `StatusBoard.stream`."""

    def __init__(self, stream: str, board: Board, read_timeout_s: float, meter: StreamMeter) -> None:
        self.current = StreamState(stream, "connecting", "starting", "not opened yet", board.clock.wall())
        self._board = board
        self._meter = meter
        self._most_silence_s = min(_SILENT_SHARE * read_timeout_s, _MOST_SILENCE_S)
        self._frames = _Pulse()
        self._units = _Pulse()
        self._owed_s: float | None = None
        """Time of the first picture since the newest frame that should have become a frame but did not.

        Monotonic.
        """
        self._lost = False
        self._notes: dict[str, str] = {}
        self._model_trouble = ""
        self._hindrance: tuple[StreamReason | Literal[""], str] = ("", "")
        self._began_s = board.clock.monotonic()
        self.reported_s = float("-inf")
        """Monotonic time at which the board last reported a change within a state."""
        self.unreported = False
        """Whether the state is newer than the last report."""
        self.on_tick: Callable[[], None] = _nothing
        """Called at each tick of the board, on the housekeeping thread."""

    def connecting(self, reason: StreamReason = "opening", text: str = "the stream is being opened") -> None:
        """Note that an attempt to open the stream begins."""
        self._began_s = self._board.clock.monotonic()
        self._board.change(self, "connecting", reason, text)

    def opened(self, details: StreamDetails) -> None:
        """Note that the source is open; the stream is live from its first frame on."""
        # The declared rate may be wrong: a camera that takes a picture every few seconds is not silent.
        interval_s = max(1.0 / details.fps if details.fps else 0.0, _UNKNOWN_INTERVAL_S)
        self._frames, self._units = _Pulse(interval_s), _Pulse(interval_s)
        self._owed_s = None
        self._hindrance = ("", "")
        self._board.describe(self, details)

    def described(self, details: StreamDetails) -> None:
        """Set new properties of the open stream, such as its size or its clock."""
        self._board.describe(self, details)

    def awaiting_key_frame(self) -> None:
        """Note that pictures come, but none can be decoded yet; does nothing once a frame was decoded."""
        self._board.change(self, "connecting", "key-frame", _KEY_FRAME, only_from="connecting")

    def noted(self, what: str, note: str) -> None:
        """Add a note to the stream's text while it is live.

        A new note on `what` replaces the old one; an empty note removes it.
        """
        if self._notes.get(what, "") == note:
            return
        self._notes = {**self._notes, what: note}
        if self.current.state == "live":
            self._go_live()

    def forget_notes(self) -> None:
        """Remove all notes, because they concern the last connection."""
        self._notes = {}

    def hindered(self, reason: StreamReason | Literal[""], text: str) -> None:
        """Note why pictures arrive but become no frames; an empty reason if all do."""
        self._hindrance = reason, text
        if self.current.state == "live":
            self._go_live()

    def model_failing(self, text: str) -> None:
        """Note why a model fails on every batch; an empty text if all models work."""
        if text != self._model_trouble:
            self._model_trouble = text
            if self.current.state == "live":
                self._go_live()

    def unit_seen(self, at_s: float) -> None:
        """Note that a picture arrived at this monotonic time, whether it is decoded or not.

        For the hot path.
        """
        self._units.beat(at_s)
        current = self.current
        if current.state == "stalled" and current.reason == "silent":
            self._go_live()

    def frame_owed(self, at_s: float) -> None:
        """Note that a picture should have become a frame but did not, at this monotonic time."""
        if self._owed_s is None:
            self._owed_s = at_s

    def frame_seen(self, at_s: float) -> None:
        """Note a decoded frame at this monotonic time. For the hot path: no lock unless the state changes."""
        self._frames.beat(at_s)
        self._owed_s = None
        if self.current.state != "live":
            before = self.current.state
            self._go_live()
            self._log_live(before, at_s)

    def down(self, reason: StreamReason, text: str) -> None:
        """Note that the stream is given up until the next try.

        `reason` is one word, such as a SourceError's.
        """
        self._board.change(self, "down", reason, text)

    def _go_live(self) -> None:
        hindered, hindrance = self._hindrance
        parts = ["frames arrive", *filter(None, (self._model_trouble, hindrance, *self._notes.values()))]
        reason = MODEL_FAILING if self._model_trouble else hindered or "ok"
        self._board.change(self, "live", reason, "; ".join(parts))

    def _log_live(self, before: StateName, at_s: float) -> None:
        """Log that the stream is live. Only an opening has `took_s`; repeated lines of stalls are folded."""
        details, stream = self.current.details, self.current.stream
        size = f"{details.width}x{details.height}" if details.width and details.height else None
        took_s = round(at_s - self._began_s, 2) if before != "stalled" else None
        log.info(
            "stream_live",
            stream=stream,
            codec=details.codec,
            size=size,
            fps=details.fps,
            clock=details.clock,
            decoder=details.decoder,
            took_s=took_s,
            before=before,
            **{FOLD_KEY: f"stream_live {stream}"},
        )

    def snapshot(self) -> StreamState:
        """Return the current state, with the time of the newest frame."""
        last_s = self._frames.last_s
        return self.current if last_s is None else replace(self.current, last_frame_s=last_s)

    def stalled_by(self, now_s: float) -> tuple[StreamReason, str] | None:
        """Return why a live stream has stalled, as a reason and a text; None if it has not.

        It is silent if no picture arrives or, if arrivals are unknown as with files, if no frame comes. A
        stream that decodes few of its pictures by choice may take any time between frames.
        """
        arrivals = self._units if self._units.last_s is not None else self._frames
        if arrivals.overdue_s(now_s, self._most_silence_s) > 0:
            return "silent", "the connection is open, but no frame arrives"
        owed_s = self._owed_s
        if owed_s is not None and self._frames.overdue_s(now_s, self._most_silence_s, since_s=owed_s) > 0:
            reason, text = self._hindrance
            return reason or "undecodable", f"frames arrive, but none can be used: {text or _UNUSABLE}"
        return None

    def move(self, state: StateName, reason: str, text: str) -> bool:
        """Set a new state; return False if nothing is new. Only the board calls this, under its lock."""
        old = self.current
        if (old.state, old.reason, old.text) == (state, reason, text):
            return False
        back = state == "live" and self._lost
        if back:
            self._meter.reconnected()
        # A stall that ends by itself is no reconnect: the connection is the same.
        self._lost = state != "live" and (
            self._lost or (state != "stalled" and old.state in ("live", "stalled"))
        )
        self.current = replace(
            self.snapshot(),
            state=state,
            reason=reason,
            text=text,
            since=old.since if state == old.state else self._board.clock.wall(),
            reconnects=old.reconnects + back,
        )
        return True


class _Pulse:
    """The last time and the mean interval of a recurring event."""

    __slots__ = ("_interval_s", "_known", "last_s")

    def __init__(self, interval_s: float = _UNKNOWN_INTERVAL_S) -> None:
        self.last_s: float | None = None
        self._interval_s = interval_s
        self._known = False

    def beat(self, at_s: float) -> None:
        """Note the event at this monotonic time."""
        if self.last_s is not None:
            gap_s = at_s - self.last_s
            self._interval_s += (gap_s - self._interval_s) * (0.125 if self._known else 1.0)
            self._known = True
        self.last_s = at_s

    def overdue_s(self, now_s: float, grace_s: float, since_s: float | None = None) -> float:
        """Return by how many seconds the event is overdue, counted from the last one or from `since_s`."""
        began_s = self.last_s if since_s is None else since_s
        return 0.0 if began_s is None else now_s - began_s - 2 * self._interval_s - grace_s
