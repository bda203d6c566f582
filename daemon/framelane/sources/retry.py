"""Decides when to retry a failed stream, and what may shorten the wait."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from framelane.core.backoff import Backoff
from framelane.sources.network.port_probe import PortProbe

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.core.clock import Clock
    from framelane.sources.network.port_probe import Pause

_REFUSED_LOGINS = frozenset({"unauthorized", "forbidden"})
_NETWORK_FAULTS = frozenset({"refused", "lost", "timeout", "unreachable"})
_QUICK_LOGINS = 2
"""The first refusal may come from a camera that has just started."""
_LOGIN_FIRST_S, _LOGIN_MOST_S = 300.0, 1800.0
_NO_JITTER = 0.0
PROVEN_S = 5.0
"""Seconds for which a connection has to last until the backoff starts again from its first wait."""
# Seconds between two checks for `retry_login`.
_LOOK_S = 1.0


class Stopping(Protocol):
    """An Event that ends all waiting."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the event is set, and return whether it is."""
        ...


class Retry:
    """Decides how long to wait after a fault, and waits.

    Cameras lock accounts after several wrong passwords, so refused logins are retried rarely. While a camera
    can't be reached, its port is probed once per second, and the stream is retried when the port opens.

    Args:
        url: of the stream.
        backoff: the waits after all faults except refused logins.
        clock: the source of time.
        probe: checks whether a host accepts connections again.
    """

    def __init__(
        self,
        url: str,
        backoff: Backoff,
        clock: Clock,
        probe: Callable[..., PortProbe] = PortProbe,
        *,
        live: bool = True,
    ) -> None:
        self._url = url
        self._backoff = backoff
        self._clock = clock
        self._open_probe = probe
        self._live = live
        self._logins = Backoff(_LOGIN_FIRST_S, _LOGIN_MOST_S, _NO_JITTER)
        self._refusals = 0
        self._reason = ""
        self._retried = threading.Event()

    def after(self, reason: str) -> float:
        """Return the seconds to wait after a fault."""
        self._reason = reason
        self._retried.clear()
        if reason in _REFUSED_LOGINS:
            self._refusals += 1
            if self._refusals >= _QUICK_LOGINS:
                return self._logins.next_s()
        return self._backoff.next_s()

    def remark(self, wait_s: float) -> str:
        """Return the note about a wait for the stream's state; empty for a short one."""
        if wait_s < _LOGIN_FIRST_S or self._reason not in _REFUSED_LOGINS:
            return ""
        return f"; next try in {wait_s / 60:.0f} minutes; reload to try at once"

    def accepted(self) -> None:
        """Note that the stream is open, so its login was accepted."""
        self._refusals = 0
        self._logins.reset()

    def retry_login(self) -> None:
        """Retry a refused login now; from any thread.

        After another refusal, the waits start again from the first.
        """
        if self._reason in _REFUSED_LOGINS:
            self._refusals = min(self._refusals, _QUICK_LOGINS - 1)
            self._logins.reset()
            self._retried.set()

    def wait(self, wait_s: float, stopping: Stopping) -> None:
        """Wait for `wait_s`, or until the port opens, `retry_login` is called or `stopping` is set."""
        deadline_s = self._clock.monotonic() + wait_s

        def pause(seconds: float) -> bool:
            left_s = deadline_s - self._clock.monotonic()
            return left_s <= 0 or stopping.wait(min(seconds, left_s)) or self._retried.is_set()

        if self._reason in _REFUSED_LOGINS:
            while not pause(_LOOK_S):
                pass
        elif self._live and self._reason in _NETWORK_FAULTS:
            self._await_port(pause)
        else:
            pause(wait_s)

    def _await_port(self, pause: Pause) -> None:
        probe = self._open_probe(self._url, shut=self._reason == "refused")
        while True:
            opened, over = probe.opens(pause)
            if opened:
                self._backoff.reset()
            if opened or over:
                return


class Proof:
    """Restarts the backoff after a connection has lasted for a while."""

    def __init__(self, clock: Clock, backoff: Backoff) -> None:
        self._clock = clock
        self._backoff = backoff
        self._due_s: float | None = clock.monotonic() + PROVEN_S

    def look(self, news: bool | None = None) -> None:  # noqa: FBT001 - a source's word
        """Check whether the connection has lasted.

        If a source can tell whether video is new, that is the proof.
        """
        if self._due_s is not None and (self._clock.monotonic() > self._due_s if news is None else news):
            self._backoff.reset()
            self._due_s = None
