"""Connects the reading of one live connection to its decoding, which runs in parallel."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from framelane.core.errors import SourceError
from framelane.sources.decoding.decode_pool import Turn
from framelane.sources.decoding.unit_queue import Hindrance
from framelane.sources.interfaces.tap import UnitOrigin

if TYPE_CHECKING:
    from framelane.core.stream_reasons import StreamReason
    from framelane.sources.camera_parts import CameraParts
    from framelane.sources.decoding.decode_pool import DecodePool
    from framelane.sources.decoding.unit_decoder import UnitDecoder
    from framelane.sources.decoding.unit_queue import UnitQueue
    from framelane.sources.frame_maker import FrameMaker
    from framelane.sources.interfaces.units import Unit

_DRAIN_LOOK_S = 0.01
_SILENT_S = 2.0
_MOST_GAP_S = 60.0
_UNDECODABLE = Hindrance("undecodable", "pictures arrive that can't be decoded")
_NO_KEY_FRAME = "no key frame has come for a minute; shorten the camera's GOP"


class LiveDecoding:
    """Decodes one connection's units: up to the first frame on the camera's thread, then in a pool.

    The first picture opens the decoder. On a GPU, this takes the driver a while, one stream after the other,
    and must not keep a pool from streams that are open already.

    Args:
        decoder: decodes units.
        waiting: the queue of units.
        frames: takes the decoded frames.
        parts: the state that shows when pictures are skipped, the pools that decode, and the tap that shows units.
        codec: of the units, by FFmpeg's name.
    """

    def __init__(
        self,
        decoder: UnitDecoder,
        waiting: UnitQueue,
        frames: FrameMaker,
        parts: CameraParts,
        codec: str,
    ) -> None:
        self._tap = parts.tap
        self._origin = UnitOrigin(codec)
        self._decoder = decoder
        self._waiting = waiting
        self._frames = frames
        self._pools = parts.ingest.pools
        self._status = parts.status
        self._meter = parts.meter
        self._clock = parts.clock
        # Set from the first frame on.
        self._place: tuple[DecodePool, Turn] | None = None
        # Whether units were put while there was no pool yet.
        self._unattended = False
        # Not the error itself: its traceback holds the decoder.
        self._fault: tuple[StreamReason, str] | None = None
        self._shown = Hindrance()
        self._put_s = self._clock.monotonic()

    def put(self, unit: Unit) -> bool:
        """Queue a unit that has been read, and return whether `advance` has to be called. Returns at once.

        Any thread may call it, one at a time.
        """
        watch = self._tap.unit
        if watch is not None:
            watch(self._origin, unit)
        waits = self._waiting.put(unit)
        self._put_s = self._clock.monotonic()
        self._status.unit_seen(self._put_s)
        if self._waiting.starves:
            self._status.frame_owed(self._put_s)
        self._show(self._hindrance(self._put_s))
        if not waits:
            return False
        if self._place is None:
            self._unattended = True
            return True
        pool, turn = self._place
        pool.submit(turn)
        return False

    def look(self) -> None:
        """Update the stream's state; called periodically. A camera that sends nothing is not late."""
        now_s = self._clock.monotonic()
        if now_s - self._put_s > _SILENT_S:
            self._show(Hindrance())

    def limit(self, fps: float | None) -> None:
        """Set another `fps` limit from the next unit on; from any thread."""
        self._waiting.limit(fps)

    def _hindrance(self, now_s: float) -> Hindrance:
        found = self._waiting.hindrance(now_s)
        return _UNDECODABLE if not found.reason and self._decoder.fails else found

    def _show(self, hindrance: Hindrance) -> None:
        if hindrance != self._shown:
            self._shown = hindrance
            self._status.hindered(*hindrance)

    def advance(self) -> None:
        """Decode waiting units on the camera's thread, until the pool takes over.

        Raises:
            SourceError: nothing in the stream can be decoded.
        """
        while self._place is None and self._decode_next():
            pass
        if self._unattended and self._place is not None:
            # Including units that came while the first picture was decoded.
            self._unattended = False
            pool, turn = self._place
            pool.submit(turn)
        if self._fault is not None:
            raise SourceError(*self._fault)
        if self._waiting.awaits_key_s(self._clock.monotonic()) > _MOST_GAP_S:
            raise SourceError("key-frame", _NO_KEY_FRAME)

    def step(self) -> bool:
        """Decode one unit on a thread of the pool, and return whether there is more."""
        try:
            self._decode_next()
        except SourceError as fault:
            self._fault = fault.reason, str(fault)
            return False
        return len(self._waiting) > 0

    def finish(self, within_s: float) -> None:
        """Decode waiting units, within `within_s`, and held-back frames after the connection has ended."""
        deadline_s = self._clock.monotonic() + within_s
        while self._place is not None and len(self._waiting) and self._clock.monotonic() < deadline_s:
            time.sleep(_DRAIN_LOOK_S)
        self.close()
        for decoded in self._decoder.drain():
            self._frames.take(decoded)

    def close(self) -> None:
        """Stop decoding. No thread of the pool works on the stream once this returns."""
        if self._place is not None:
            pool, turn = self._place
            pool.withdraw(turn)

    def _decode_next(self) -> bool:
        unit = self._waiting.take()
        if unit is None:
            return False
        decoder, opened = self._decoder, False
        for decoded in decoder.decode(unit):
            opened |= self._place is None
            # Opening the decoder may have taken too long for this unit.
            if opened and self._waiting.is_late(unit):
                self._meter.frame_dropped("late")
            else:
                self._frames.take(decoded)
            # Keep no reference to a frame while the next one is awaited.
            del decoded
        # Only now, or a thread of the pool could overtake this one.
        if opened:
            self._place = self._pools[decoder.name], Turn(self)
        if decoder.damaged:
            self._status.frame_owed(self._clock.monotonic())
            if not unit.disposable:
                self._waiting.break_off()
        return True
