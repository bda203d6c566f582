"""The interface between a sink that acknowledges events and the queue in which they wait for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.messages.detections import Message


class EventQueue(Protocol):
    """Events that wait for a sink that acknowledges them, in order, such as `Outbox`. Thread-safe.

    One sink takes from it. Calls return at once.
    """

    arrived: Callable[[], None]
    """Called when events can be taken; the sink sets it."""

    def take(self) -> tuple[int, Message] | None:
        """Return the next event with a ticket to settle it by; None if none can be sent."""
        ...

    def settle(self, ticket: int) -> None:
        """Forget an event that the sink has delivered, or will never accept."""
        ...

    def rewind(self) -> None:
        """Make events that were taken and not settled available again, in order."""
        ...

    def waiting(self) -> bool:
        """Return whether `take` would return an event."""
        ...

    def __len__(self) -> int:
        """Return how many events are not delivered."""
        ...


class NoEvents:
    """No events ever wait here."""

    def __init__(self) -> None:
        self.arrived: Callable[[], None] = _ignore

    def take(self) -> None:
        """Return None."""

    def settle(self, ticket: int) -> None:
        """Do nothing."""

    def rewind(self) -> None:
        """Do nothing."""

    def waiting(self) -> bool:
        """Return False."""
        return False

    def __len__(self) -> int:
        """Return 0."""
        return 0


def _ignore() -> None:
    """Do nothing: no event arrives."""
