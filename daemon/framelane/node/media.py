"""The folder of snapshots and clips, as the node sees it: kept within its limits, searched and measured."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from framelane.footage.keeper import MediaKeeper
from framelane.footage.uploader import Uploader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prometheus_client.registry import Collector

    from framelane.config.sections.media import MediaConfig
    from framelane.config.sections.s3 import S3Config
    from framelane.core.clock import Clock
    from framelane.core.worker import Worker
    from framelane.footage.index import MediaIndex
    from framelane.footage.uploader import Bucket
    from framelane.telemetry.sink_health import SinkHealth


class NodeMedia:
    """Runs the keeper of the media folder, and uploads from it. Without a folder, it does nothing.

    Args:
        config: the `media` section.
        clock: the clock.
        watch: called with the reason why files can't be uploaded, or None once they can.
    """

    def __init__(self, config: MediaConfig, clock: Clock, watch: Callable[[str | None], None]) -> None:
        self._keeper = None if config.folder is None else MediaKeeper(config)
        self._uploader: Uploader | None = None
        if self._keeper is not None and config.s3 is not None:
            self._uploader = Uploader(config.s3, self._keeper.store, _s3_bucket, clock, watch)

    @property
    def files(self) -> MediaIndex | None:
        """Finds the files of events; None without a folder."""
        return None if self._keeper is None else self._keeper.index

    def start(self) -> None:
        """Start keeping the folder within its limits."""
        for worker in self._workers():
            worker.start()

    def configure(self, config: MediaConfig) -> None:
        """Upload as configured from now on; nothing else changes while the daemon runs."""
        if self._uploader is not None and config.s3 is not None:
            self._uploader.configure(config.s3)

    def stop(self, timeout_s: float) -> None:
        """Stop within `timeout_s` seconds."""
        deadline_s = time.monotonic() + timeout_s
        for worker in self._workers():
            worker.stop(max(deadline_s - time.monotonic(), 0.0))

    def health(self) -> Sequence[SinkHealth]:
        """Return how uploading goes; nothing without a bucket."""
        return [] if self._uploader is None else [self._uploader.health()]

    def collectors(self) -> Sequence[Collector]:
        """Return the collectors of the folder's metrics; none without a folder."""
        if self._keeper is None:
            return []
        # Imported only with a listener, because the web stack takes memory that a small host may lack.
        from framelane.footage.metrics import MediaCollector  # noqa: PLC0415

        return [MediaCollector(self._keeper.store)]

    def _workers(self) -> Sequence[Worker]:
        return [worker for worker in (self._keeper, self._uploader) if worker is not None]


def _s3_bucket(config: S3Config) -> Bucket:
    # Imported only with a bucket, because its client is an extra and takes memory.
    from framelane.footage.s3 import S3Bucket  # noqa: PLC0415

    return S3Bucket(config)
