"""Makes clips of events, on a thread of its own: MP4 with the camera's own pictures."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from framelane.core.worker import Worker
from framelane.footage.store import Place
from framelane.live.mp4.codec_config import codec_config
from framelane.live.mp4.movie_file import Sample, movie_file
from framelane.live.mp4.sample import sample

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from framelane.core.clock import Clock
    from framelane.core.events import Event
    from framelane.footage.address import Addresses
    from framelane.footage.clip_recorder import ClipRecorder, Cut
    from framelane.footage.snapshots import Keeper

log = structlog.get_logger(__name__)

_LOOK_S = 0.5
_MOST_WAITING_BYTES = 256 << 20
"""Most video of clips that wait to be written."""
_SILENT_S = 60.0


class ClipMaker(Worker):
    """Writes clips and says when they are ready. Its thread starts with the first stream that has clips.

    Args:
        store: keeps them.
        addresses: of clips.
        tell: passes on an event; returns at once.
        clock: the clock.
        recorders: the recorders of all streams, which need a look now and then.
    """

    def __init__(
        self,
        store: Keeper,
        addresses: Addresses,
        tell: Callable[[Event], None],
        clock: Clock,
        recorders: Mapping[str, ClipRecorder],
    ) -> None:
        super().__init__("clips")
        self._store = store
        self._addresses = addresses
        self._tell = tell
        self._clock = clock
        self._recorders = recorders
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._waiting: deque[Cut] = deque()
        self._bytes = 0
        self._logged_s = float("-inf")

    def put(self, cut: Cut) -> None:
        """Take a cut, from any thread; if too much waits it is lost and counted. Returns at once."""
        size = cut.size
        with self._lock:
            room = self._bytes + size <= _MOST_WAITING_BYTES
            if room:
                self._waiting.append(cut)
                self._bytes += size
        if room:
            self._news.set()
        else:
            cut.meter.clip_made("queue")

    def wake(self) -> None:
        """Make the thread check whether to stop."""
        self._news.set()

    def run_once(self) -> None:
        """Write the clips that wait, and look for those whose video does not come any more."""
        self._news.wait(_LOOK_S)
        self._news.clear()
        for recorder in list(self._recorders.values()):
            recorder.look(self._clock.wall())
        while self._write_next():
            pass

    def ended(self) -> None:
        """Write what was cut before the thread was stopped."""
        while self._write_next():
            pass

    def _write_next(self) -> bool:
        with self._lock:
            if not self._waiting:
                return False
            cut = self._waiting.popleft()
            self._bytes -= cut.size
        self._write(cut)
        return True

    def _write(self, cut: Cut) -> None:
        event = cut.event
        config = codec_config(cut.codec, cut.extradata) if cut.pictures else None
        if config is None:
            cut.meter.clip_made("failed")
            log.warning("clip_failed", stream=event.stream, error="there is no video of this time")
            return
        try:
            self._store.write(
                Place(event.at, event.stream, cut.name, "mp4"), movie_file(config, _samples(cut))
            )
        except OSError as error:
            cut.meter.clip_made("disk")
            self._complain(error)
            return
        cut.meter.clip_made("kept")
        url = self._addresses.clip(event, cut.name)
        # Without the rule: its counter must not count this event.
        ready = replace(event, kind="clip", rule=None, direction=None, reason=None, snapshot_url=None)
        first, last = cut.pictures[0].captured_at, cut.pictures[-1].captured_at
        self._tell(replace(ready, at=last, since=first, ordinal=cut.number, of=cut.name, clip_url=url))

    def _complain(self, error: OSError) -> None:
        now_s = self._clock.monotonic()
        if now_s - self._logged_s >= _SILENT_S:
            self._logged_s = now_s
            log.warning("clip_not_kept", error=str(error))


def _samples(cut: Cut) -> list[Sample]:
    return [
        Sample(sample(cut.codec, bytes(unit.packet)), ticks, unit.key and not unit.recovery)
        for unit, ticks, _ in cut.pictures
    ]
