"""Feeds the service manager's watchdog while the pipeline makes progress, and updates its status line."""

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
"""How often to feed the watchdog within its timeout."""


class Watched(Protocol):
    """What the watchdog checks."""

    def liveness(self) -> Health:
        """Return whether it makes progress, with reasons if not."""
        ...

    def headline(self) -> str:
        """Return a summary in a few words."""
        ...


class Watchdog:
    """Feeds systemd's watchdog. Call `look` often, on a thread that must not hang either.

    Feeding stops while liveness fails, and resumes with the first good verdict. So systemd ends the process
    only if it stays wedged for the unit's WatchdogSec=.

    Args:
        node: what to check.
        clock: the clock.
        environ: the environment, in which systemd passes the watchdog's timeout.
        tell: sends a notification to systemd.
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
        """Feed the watchdog if the node makes progress, and send its summary if it changed."""
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
    """Return the watchdog timeout of this process in seconds (sd_watchdog_enabled(3)).

    None for no watchdog.
    """
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        return int(environ.get("WATCHDOG_USEC", "")) / 1e6 or None
    except ValueError:
        return None
