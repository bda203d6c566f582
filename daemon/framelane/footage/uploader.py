"""Uploads snapshots and clips to a bucket, on a thread of its own; once per node."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from framelane.core.backoff import Backoff
from framelane.core.outage import Outage
from framelane.core.worker import Worker
from framelane.footage.upload_errors import UploadError
from framelane.telemetry.sink_health import SinkHealth

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from framelane.config.sections.s3 import S3Config
    from framelane.core.clock import Clock
    from framelane.footage.store import MediaStore
    from framelane.footage.unsent import Waiting
    from framelane.footage.upload_errors import Retry

log = structlog.get_logger(__name__)

_LOOK_S = 1.0
"""Seconds between two looks for new files while there are none."""
_AGAIN_S = 10.0
"""Most seconds between two looks while there are some."""
_MOST_KNOWN = 1000
"""Files whose names are held in memory; the others wait on disk."""
_MOST_PASSED = 3
"""How often others succeed after a file was refused, until that file alone is to blame and is given up."""


class Bucket(Protocol):
    """Where files go."""

    def put(self, key: str, path: Path, /) -> None:
        """Upload a file; raise UploadError if it could not be, OSError if it can't be read."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


@dataclass(frozen=True, slots=True)
class Waits:
    """The waits after failed uploads, by when to try again."""

    soon: Backoff
    late: Backoff

    @staticmethod
    def usual() -> Waits:
        """Return those of the MQTT sink, and longer ones for faults that somebody must mend."""
        return Waits(Backoff(1.0, 30.0), Backoff(10.0, 60.0))

    def next_s(self, retry: Retry) -> float:
        """Return the seconds to wait before the next upload."""
        return 0.0 if retry == "never" else (self.soon if retry == "soon" else self.late).next_s()

    def reset(self) -> None:
        """Start again from the first waits."""
        self.soon.reset()
        self.late.reset()


class Uploader(Worker):
    """Uploads every file that is marked, the oldest first, and tries again forever.

    Args:
        config: the `media.s3` section.
        store: the folder.
        open_bucket: connects to the bucket of a configuration.
        clock: for the log.
        watch: called with the reason why files can't be uploaded, or None once they can, on this thread.
        waits: after failures.
    """

    def __init__(
        self,
        config: S3Config,
        store: MediaStore,
        open_bucket: Callable[[S3Config], Bucket],
        clock: Clock,
        watch: Callable[[str | None], None],
        waits: Waits | None = None,
    ) -> None:
        super().__init__("s3")
        self._config = config
        self._store = store
        self._open = open_bucket
        self._clock = clock
        self._watch = watch
        self._waits = waits or Waits.usual()
        self._outage = Outage("s3", clock)
        self._news = threading.Event()
        self._bucket: Bucket | None = None
        self._bucket_of: S3Config | None = None
        self._known: deque[Waiting] = deque()
        # Files that have failed, and whether that was after the newest success.
        self._failed: dict[str, bool] = {}
        self._passed: Counter[str] = Counter()
        self._waiting = 0
        self._looked_s = float("-inf")
        self._unsent_before = store.figures().unsent
        self._delivered = 0
        self._refused = 0

    def configure(self, config: S3Config) -> None:
        """Upload this way from now on, and try at once; from any thread."""
        if config != self._config:
            self._config = config
            self._waits.reset()
            self._news.set()

    def health(self) -> SinkHealth:
        """Return how uploading goes, as for sinks; its messages are files."""
        dropped: Mapping[str, int] = {
            # A damaged ledger counts from 0.
            "deleted": max(self._store.figures().unsent - self._unsent_before, 0),
            "refused": self._refused,
        }
        error = self._outage.text
        return SinkHealth(
            name="s3",
            connected=error is None,
            queued=self._waiting,
            delivered=self._delivered,
            dropped=sum(dropped.values()),
            last_error=error,
            dropped_by=dropped,
        )

    def wake(self) -> None:
        """Make the thread check whether to stop."""
        self._news.set()

    def run_once(self) -> None:
        """Upload the next file, or wait for one."""
        since_s = self._clock.monotonic() - self._looked_s
        if not self._known and since_s < _LOOK_S:
            self._pause(_LOOK_S - since_s)
            return
        if not self._known or since_s >= _AGAIN_S:
            self._look()
        if self._known:
            self._upload_next()

    def failed(self, error: Exception) -> float:
        """Return how long to wait after a fault that lasts."""
        if isinstance(error, UploadError):
            self._fail(error.reason, str(error))
            return self._waits.next_s(error.retry)
        if isinstance(error, OSError):
            self._fail("disk", f"the folder of snapshots and clips can't be read: {error}")
            return self._waits.next_s("soon")
        return super().failed(error)

    def rest(self, wait_s: float) -> None:
        """Wait after a fault, until stopped or configured."""
        self._pause(wait_s)

    def ended(self) -> None:
        """Close the connections."""
        if self._bucket is not None:
            self._bucket.close()

    def _pause(self, wait_s: float) -> None:
        self._news.wait(wait_s)
        if not self.stopping.is_set():
            self._news.clear()

    def _look(self) -> None:
        """Read which files wait, those that have failed last."""
        self._looked_s = self._clock.monotonic()
        found, self._waiting = self._store.unsent.oldest(_MOST_KNOWN)
        self._known = deque(sorted(found, key=lambda each: (each.key in self._failed, each)))

    def _upload_next(self) -> None:
        waiting = self._known.popleft()
        config = self._config
        try:
            self._connected(config).put(waiting.key, self._store.folder / waiting.key)
        except FileNotFoundError:
            self._store.absent(waiting)
        except UploadError as error:
            hopeless = error.retry == "late" and self._passed[waiting.key] >= _MOST_PASSED
            if error.retry == "never" or hopeless:
                self._refuse(waiting, error)
            else:
                self._put_off(waiting)
                raise
        else:
            self._store.uploaded(waiting, delete=config.delete_after_upload)
            self._succeed(waiting)

    def _connected(self, config: S3Config) -> Bucket:
        if self._bucket is None or self._bucket_of is not config:
            self.ended()
            self._bucket = self._open(config)
            self._bucket_of = config
        return self._bucket

    def _put_off(self, waiting: Waiting) -> None:
        """Try other files first: one that the server can't take must not hold them up."""
        if len(self._failed) >= _MOST_KNOWN:
            self._failed.clear()
            self._passed.clear()
        self._failed[waiting.key] = True
        self._known.append(waiting)

    def _refuse(self, waiting: Waiting, error: UploadError) -> None:
        self._store.refused(waiting)
        self._forget(waiting)
        self._refused += 1
        log.warning("s3_refused", file=waiting.key, error=str(error))

    def _succeed(self, waiting: Waiting) -> None:
        self._forget(waiting)
        self._delivered += 1
        for key, lately in self._failed.items():
            self._passed[key] += lately
            self._failed[key] = False
        self._waits.reset()
        if self._outage.text is not None:
            self._outage.over()
            self._watch(None)

    def _forget(self, waiting: Waiting) -> None:
        self._waiting -= 1
        self._failed.pop(waiting.key, None)
        self._passed.pop(waiting.key, None)

    def _fail(self, reason: str, text: str) -> None:
        if self._outage.failed(reason, text):
            self._watch(self._outage.text)
