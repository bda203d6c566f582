"""The threads that all live streams of a process share: one reads RTSP, others decode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.sources.decoding.decode_pool import NVDEC_THREADS, DecodePool, cpu_threads
from framelane.sources.rtsp.reactor import Reactor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.core.clock import Clock
    from framelane.sources.decoding.decoder import DecoderName


class Ingest:
    """Owns the threads, which start when needed; `stop` ends them.

    Args:
        clock: the source of time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.reactor = Reactor(clock)
        """Reads RTSP."""
        self.pools: Mapping[DecoderName, DecodePool] = {
            "cpu": DecodePool("decode-cpu", cpu_threads(), clock),
            "nvdec": DecodePool("decode-nvdec", NVDEC_THREADS, clock),
        }
        """Decode pools by decoder."""

    def stop(self, timeout_s: float) -> None:
        """End all threads after the last stream has stopped.

        A thread that hangs for `timeout_s` is abandoned.
        """
        deadline_s = self._clock.monotonic() + timeout_s
        self.reactor.stop(timeout_s)
        for pool in self.pools.values():
            pool.stop(max(deadline_s - self._clock.monotonic(), 0.0))
