"""Keeps the service manager's watchdog fed while the pipeline gets on, and its status line true."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

import structlog

from framelane.core.systemd import notify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from framelane.core.clock import Clock
    from framelane.telemetry.health import Health

log = structlog.get_logger(__name__)

_FEEDS = 4
"""How often the watchdog is fed within the time after which it bites."""


class Watched(Protocol):
    """What is watched over."""

    def liveness(self) -> Health:
        """Whether it gets on; reasons name what does not."""
        ...

    def headline(self) -> str:
        """How it fares, in a few words."""
        ...


class Watchdog:
    """Call `look` often, on the thread that must not hang either.

    The feed stops while liveness has reasons against it, and comes back with the first good verdict: systemd ends
    the process only where it stays wedged for the unit's WatchdogSec=.

    Args:
        node: what is watched over.
        clock: for the time between two feeds.
        environ: where systemd says whether and how often it wants to hear.
        tell: says something to systemd.
    """

    def __init__(
        self,
        node: Watched,
        clock: Clock,
        environ: Mapping[str, str] = os.environ,
        tell: Callable[[str], None] = notify,
    ) -> None:
        self._node = node
        self._clock = clock
        self._tell = tell
        self._bites_s = watchdog_s(environ)
        self._fed_s = float("-inf")
        self._said = ""
        self._starved: tuple[str, ...] = ()

    def look(self) -> None:
        """Feed the watchdog if the node gets on, and say how it fares if that is news."""
        health = self._node.liveness()
        if health.ok:
            self._feed()
        if health.reasons and not self._starved:
            log.error("wedged", text="; ".join(health.reasons), watchdog_s=self._bites_s)
        self._starved = health.reasons
        self._say(self._node.headline() if health.ok else f"wedged: {'; '.join(health.reasons)}")

    def _feed(self) -> None:
        now_s = self._clock.monotonic()
        if self._bites_s is not None and now_s - self._fed_s >= self._bites_s / _FEEDS:
            self._fed_s = now_s
            self._tell("WATCHDOG=1")

    def _say(self, headline: str) -> None:
        if headline != self._said:
            self._said = headline
            self._tell(f"STATUS={headline}")


def watchdog_s(environ: Mapping[str, str]) -> float | None:
    """Seconds without a feed after which systemd ends this process (sd_watchdog_enabled(3)); None for never."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        return int(environ.get("WATCHDOG_USEC", "")) / 1e6 or None
    except ValueError:
        return None
