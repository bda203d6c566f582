"""What all live streams of a process share: the thread that reads RTSP, and those that decode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.sources.decode_pool import NVDEC_THREADS, DecodePool, cpu_threads
from framelane.sources.rtsp.reactor import Reactor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.core.clock import Clock
    from framelane.sources.decoder import DecoderName


class Ingest:
    """Threads start as they are needed; `stop` ends them.

    Args:
        clock: where the time is read.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.reactor = Reactor(clock)
        """Reads RTSP."""
        self.pools: Mapping[DecoderName, DecodePool] = {
            "cpu": DecodePool("decode-cpu", cpu_threads(), clock),
            "nvdec": DecodePool("decode-nvdec", NVDEC_THREADS, clock),
        }
        """Decode, by decoder."""

    def stop(self, timeout_s: float) -> None:
        """End all threads, once no stream is read any more; gives up on what hangs after `timeout_s`."""
        deadline_s = self._clock.monotonic() + timeout_s
        self.reactor.stop(timeout_s)
        for pool in self.pools.values():
            pool.stop(max(deadline_s - self._clock.monotonic(), 0.0))
