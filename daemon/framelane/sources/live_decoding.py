"""Joins the reading of one live connection to its decoding, which goes on beside it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from framelane.core.errors import SourceError
from framelane.sources.decode_pool import Turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from framelane.core.clock import Clock
    from framelane.sources.decode_pool import DecodePool
    from framelane.sources.decoder import DecoderName
    from framelane.sources.frame_maker import FrameMaker
    from framelane.sources.source import Decoded
    from framelane.sources.unit_queue import UnitQueue
    from framelane.sources.units import Unit
    from framelane.telemetry.status import StreamStatus

_DRAIN_LOOK_S = 0.01


class UnitDecoder(Protocol):
    """What decodes a connection's units; a ContainerSource."""

    @property
    def decoder_name(self) -> DecoderName:
        """What decodes now."""
        ...

    def decode(self, unit: Unit) -> Iterator[Decoded]:
        """The pictures that a unit completes."""
        ...

    def drain(self) -> Iterator[Decoded]:
        """The pictures that the decoder holds back."""
        ...


class LiveDecoding:
    """Decodes what one connection brings: its first picture on the reader's thread, all others in a pool.

    The first picture opens the decoder, which on a GPU takes the driver a while, one stream after the other. That
    must not keep a pool from streams that are open already.

    Args:
        source: decodes units.
        waiting: where units wait.
        frames: takes the pictures.
        pools: by decoder.
        status: told when pictures are skipped, and when no more are.
        clock: where the time is read.
    """

    def __init__(
        self,
        source: UnitDecoder,
        waiting: UnitQueue,
        frames: FrameMaker,
        pools: Mapping[DecoderName, DecodePool],
        status: StreamStatus,
        clock: Clock,
    ) -> None:
        self._source = source
        self._waiting = waiting
        self._frames = frames
        self._pools = pools
        self._status = status
        self._clock = clock
        self._turn = Turn(self)
        self._pool: DecodePool | None = None  # from the first picture on
        self._fault: SourceError | None = None
        self._trouble = ""

    def put(self, unit: Unit) -> None:
        """Take a unit that has been read.

        Raises:
            SourceError: nothing in the stream can be decoded.
        """
        if self._fault is not None:
            raise self._fault
        waits = self._waiting.put(unit)
        trouble = self._waiting.trouble(self._clock.monotonic())
        if trouble != self._trouble:
            self._trouble = trouble
            self._status.late(trouble)
        if not waits:
            return
        while self._pool is None and self._decode_next():
            pass
        if self._pool is not None:
            self._pool.submit(self._turn)

    def step(self) -> bool:
        """Decode a unit, on a thread of the pool; True if there is more."""
        try:
            self._decode_next()
        except SourceError as fault:
            self._fault = fault
            return False
        return len(self._waiting) > 0

    def finish(self, patience_s: float) -> None:
        """The connection has ended: decode what still waits, within `patience_s`, and what the decoder holds back."""
        deadline_s = self._clock.monotonic() + patience_s
        while len(self._waiting) and self._clock.monotonic() < deadline_s:
            time.sleep(_DRAIN_LOOK_S)
        self.close()
        for decoded in self._source.drain():
            self._frames.take(decoded)

    def close(self) -> None:
        """Decode nothing more; returns when no thread of the pool is at it."""
        if self._pool is not None:
            self._pool.withdraw(self._turn)

    def _decode_next(self) -> bool:
        unit = self._waiting.take()
        if unit is None:
            return False
        for decoded in self._source.decode(unit):
            self._frames.take(decoded)
            del decoded  # a picture may not stay here while the next one is awaited
            if self._pool is None:
                self._pool = self._pools[self._source.decoder_name]
        return True
