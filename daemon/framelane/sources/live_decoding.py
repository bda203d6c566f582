"""Joins the reading of one live connection to its decoding, which goes on beside it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from framelane.core.errors import SourceError
from framelane.sources.decode_pool import Turn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.core.clock import Clock
    from framelane.sources.decode_pool import DecodePool
    from framelane.sources.decoder import DecoderName
    from framelane.sources.frame_maker import FrameMaker
    from framelane.sources.source import SourceMeter
    from framelane.sources.unit_decoder import UnitDecoder
    from framelane.sources.unit_queue import UnitQueue
    from framelane.sources.units import Unit
    from framelane.telemetry.status import StreamStatus

_DRAIN_LOOK_S = 0.01
_SILENT_S = 2.0
_MOST_GAP_S = 60.0
_NO_KEY_FRAME = "no key frame has come for a minute to go on from; shorten the camera's GOP"


class LiveDecoding:
    """Decodes what one connection brings: its first picture on the camera's thread, all others in a pool.

    The first picture opens the decoder, which on a GPU takes the driver a while, one stream after the other. That
    must not keep a pool from streams that are open already.

    Args:
        decoder: decodes units.
        waiting: where units wait.
        frames: takes the pictures.
        pools: by decoder.
        status: told when pictures are skipped, and when no more are.
        meter: counts what is skipped.
        clock: where the time is read.
    """

    def __init__(
        self,
        decoder: UnitDecoder,
        waiting: UnitQueue,
        frames: FrameMaker,
        pools: Mapping[DecoderName, DecodePool],
        status: StreamStatus,
        meter: SourceMeter,
        clock: Clock,
    ) -> None:
        self._decoder = decoder
        self._waiting = waiting
        self._frames = frames
        self._pools = pools
        self._status = status
        self._meter = meter
        self._clock = clock
        self._place: tuple[DecodePool, Turn] | None = None  # from the first picture on
        self._unattended = False  # something has been put for which there was no pool yet
        self._fault: tuple[str, str] | None = None  # not the error: its traceback holds the decoder
        self._trouble = ""
        self._put_s = clock.monotonic()

    def put(self, unit: Unit) -> bool:
        """Take a unit that has been read; on any thread, one at a time. Returns at once.

        True where `advance` has to be called for it.
        """
        waits = self._waiting.put(unit)
        self._put_s = self._clock.monotonic()
        self._tell(self._waiting.trouble(self._put_s))
        if not waits:
            return False
        if self._place is None:
            self._unattended = True
            return True
        pool, turn = self._place
        pool.submit(turn)
        return False

    def look(self) -> None:
        """Called now and then: a camera that sends nothing is not late."""
        now_s = self._clock.monotonic()
        if now_s - self._put_s > _SILENT_S:
            self._tell("")

    def _tell(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._status.late(trouble)

    def advance(self) -> None:
        """Decode what waits, until the pool does; on the camera's thread.

        Raises:
            SourceError: nothing in the stream can be decoded.
        """
        while self._place is None and self._decode_next():
            pass
        if self._unattended and self._place is not None:
            # What came while the first picture was decoded, too.
            self._unattended = False
            pool, turn = self._place
            pool.submit(turn)
        if self._fault is not None:
            raise SourceError(*self._fault)
        if self._waiting.awaits_key_s(self._clock.monotonic()) > _MOST_GAP_S:
            raise SourceError("key-frame", _NO_KEY_FRAME)

    def step(self) -> bool:
        """Decode a unit, on a thread of the pool; True if there is more."""
        try:
            self._decode_next()
        except SourceError as fault:
            self._fault = fault.reason, str(fault)
            return False
        return len(self._waiting) > 0

    def finish(self, patience_s: float) -> None:
        """The connection has ended: decode what still waits, within `patience_s`, and what the decoder holds back."""
        deadline_s = self._clock.monotonic() + patience_s
        while self._place is not None and len(self._waiting) and self._clock.monotonic() < deadline_s:
            time.sleep(_DRAIN_LOOK_S)
        self.close()
        for decoded in self._decoder.drain():
            self._frames.take(decoded)

    def close(self) -> None:
        """Decode nothing more; returns when no thread of the pool is at it."""
        if self._place is not None:
            pool, turn = self._place
            pool.withdraw(turn)

    def _decode_next(self) -> bool:
        unit = self._waiting.take()
        if unit is None:
            return False
        for decoded in self._decoder.decode(unit):
            first = self._place is None
            if first:
                self._place = self._pools[self._decoder.name], Turn(self)
            if first and self._waiting.is_late(unit):  # opening the decoder has taken so long
                self._meter.frame_dropped("late")
            else:
                self._frames.take(decoded)
            del decoded  # a picture may not stay here while the next one is awaited
        return True
