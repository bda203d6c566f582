"""One stream's state machine: what its camera thread tells, and what of that is a new state."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from framelane.telemetry.states import StreamDetails, StreamState

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.core.clock import Clock
    from framelane.telemetry.states import StateName

_MOST_SILENCE_S = 4.0
_SILENT_SHARE = 0.8  # of the read timeout, so that a stall shows before the connection is given up
_UNKNOWN_INTERVAL_S = 1.0
_KEY_FRAME = "waiting for a key frame; shorten the camera's GOP if this takes long"


def _nothing() -> None:
    """Nobody looks."""


class Board(Protocol):
    """Where the states of all streams are kept, and told; a StatusBoard."""

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
        """Move a stream to a state, or leave it unless it is in a certain one."""
        ...

    def describe(self, status: StreamStatus, details: StreamDetails) -> None:
        """Take new details of a stream."""
        ...


class ReconnectMeter(Protocol):
    """Where reconnects are counted; a StreamMeter."""

    def reconnected(self) -> None:
        """The stream is live again after it was lost."""
        ...


class NullReconnectMeter:
    """Counts nothing."""

    def reconnected(self) -> None:
        """Forget it."""


class StreamStatus:
    """One stream's state machine, driven by its camera thread; `StatusBoard.stream` makes it."""

    def __init__(self, stream: str, board: Board, read_timeout_s: float, meter: ReconnectMeter) -> None:
        self.current = StreamState(stream, "connecting", "starting", "not opened yet", board.clock.wall())
        self._board = board
        self._meter = meter
        self._most_silence_s = min(_SILENT_SHARE * read_timeout_s, _MOST_SILENCE_S)
        self._interval_s = 0.0
        self._last_s: float | None = None
        self._lost = False
        self._notes: dict[str, str] = {}
        self._late = ""
        self.on_tick: Callable[[], None] = _nothing
        """Called at each tick of the board, on its thread: by who must look after the stream from outside."""

    def connecting(self, reason: str = "opening", text: str = "the stream is being opened") -> None:
        """A try to open the stream begins."""
        self._board.change(self, "connecting", reason, text)

    def opened(self, details: StreamDetails) -> None:
        """The source is open; the stream is live from its first frame on."""
        self._last_s = None
        self._late = ""
        self._interval_s = 1.0 / details.fps if details.fps else 0.0
        self._board.describe(self, details)

    def described(self, details: StreamDetails) -> None:
        """Something about the open stream is new, such as its size or its clock."""
        self._board.describe(self, details)

    def awaiting_key_frame(self) -> None:
        """Pictures come, none of which can be decoded yet; where one just was, this changes nothing."""
        self._board.change(self, "connecting", "key-frame", _KEY_FRAME, only_from="connecting")

    def noted(self, what: str, note: str) -> None:
        """Something that a person should know of the stream while it is live; a new note on `what` replaces the old."""
        self._notes[what] = note
        if self.current.state == "live":
            self._go_live()

    def forget_notes(self) -> None:
        """What was noted of the last connection need not be true of the next."""
        self._notes = {}

    def late(self, text: str) -> None:
        """Pictures are not decoded to stay on time, and this is why, or all are again (an empty text)."""
        self._late = text
        if self.current.state == "live":
            self._go_live()

    def frame_seen(self, at_s: float) -> None:
        """A frame is there, at this monotonic time. For the hot path: no lock unless the state changes."""
        last_s = self._last_s
        if last_s is not None:
            gap_s = at_s - last_s
            self._interval_s += (gap_s - self._interval_s) * 0.125 if self._interval_s else gap_s
        self._last_s = at_s
        if self.current.state != "live":
            self._go_live()

    def down(self, reason: str, text: str) -> None:
        """The stream is given up until the next try; `reason` is one word, such as a SourceError's."""
        self._board.change(self, "down", reason, text)

    def _go_live(self) -> None:
        parts = ["frames arrive", *filter(None, (self._late, *self._notes.values()))]
        self._board.change(self, "live", "late" if self._late else "ok", "; ".join(parts))

    def snapshot(self) -> StreamState:
        """The state now, with the time of the newest frame."""
        return self.current if self._last_s is None else replace(self.current, last_frame_s=self._last_s)

    def overdue_s(self, now_s: float) -> float:
        """Seconds by which the next frame is later than a live stream's may be; above 0 it has stalled."""
        if self._last_s is None:
            return 0.0
        return now_s - self._last_s - 2 * (self._interval_s or _UNKNOWN_INTERVAL_S) - self._most_silence_s

    def stall(self) -> None:
        """Frames have failed to come for too long. Only the board calls this, under its lock."""
        if self._late:
            self.move("stalled", "late", f"no frame is decoded in time; {self._late}")
        else:
            self.move("stalled", "silent", "the connection is open, but no frame arrives")

    def move(self, state: StateName, reason: str, text: str) -> bool:
        """Take a new state; False if nothing is new. Only the board calls this, under its lock."""
        old = self.current
        if (old.state, old.reason, old.text) == (state, reason, text):
            return False
        back = state == "live" and self._lost
        if back:
            self._meter.reconnected()
        # A stall that ends by itself is no reconnect: the same connection goes on.
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
