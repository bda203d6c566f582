"""The interface between a supervisor and the pipeline of several workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Collection, Iterable

    from framelane.config.sections.schema import Config
    from framelane.core.errors import FramelaneError
    from framelane.core.frames import ModelInfo
    from framelane.fleet.protocol import Happened, Snapshot, Started
    from framelane.fleet.share import Share
    from framelane.telemetry.states import StreamState


class SupervisorEvents(Protocol):
    """Receives what workers report; called on the supervisors' threads."""

    def started(self, share: Share, message: Started) -> None:
        """Note that all parts of a worker run."""
        ...

    def changed(self, state: StreamState) -> None:
        """Take a stream's new state."""
        ...

    def happened(self, message: Happened) -> None:
        """Take what has happened on a worker's streams."""
        ...

    def reported(self, share: Share, snapshot: Snapshot) -> None:
        """Take a worker's figures, every second."""
        ...

    def ended_worker(self, share: Share, text: str | None) -> None:
        """Note that a worker has ended; `text` says why, or is None if it was told to stop."""
        ...

    def models_loaded(self, models: Iterable[ModelInfo], config: Config) -> None:
        """Note the models that a worker has loaded, and the configuration that they were loaded with."""
        ...

    def played(self, share: Share) -> Collection[str]:
        """Return the share's streams that have been played to their end."""
        ...

    def gave_up(self, error: FramelaneError) -> None:
        """Note that a worker can't be kept running, so the daemon must end."""
        ...

    def linked(self, media: socket.socket) -> None:
        """Take the socket on which a new worker's streams are watched, and close it in the end."""
        ...
