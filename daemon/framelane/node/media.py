"""The folder of snapshots and clips, as the node sees it: kept within its limits, searched and measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.footage.keeper import MediaKeeper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client.registry import Collector

    from framelane.config.sections.media import MediaConfig
    from framelane.footage.index import MediaIndex


class NodeMedia:
    """Runs the keeper of the media folder. Without a folder, it does nothing.

    Args:
        config: the `media` section.
    """

    def __init__(self, config: MediaConfig) -> None:
        self._keeper = None if config.folder is None else MediaKeeper(config)

    @property
    def files(self) -> MediaIndex | None:
        """Finds the files of events; None without a folder."""
        return None if self._keeper is None else self._keeper.index

    def start(self) -> None:
        """Start keeping the folder within its limits."""
        if self._keeper is not None:
            self._keeper.start()

    def stop(self, timeout_s: float) -> None:
        """Stop within `timeout_s` seconds."""
        if self._keeper is not None:
            self._keeper.stop(timeout_s)

    def collectors(self) -> Sequence[Collector]:
        """Return the collectors of the folder's metrics; none without a folder."""
        if self._keeper is None:
            return []
        # Imported only with a listener, because the web stack takes memory that a small host may lack.
        from framelane.footage.metrics import MediaCollector  # noqa: PLC0415

        return [MediaCollector(self._keeper.store)]
