"""When a stream that has failed is tried again, and what may cut that short."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from framelane.core.backoff import Backoff
from framelane.sources.knocking import Door

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.core.clock import Clock
    from framelane.sources.knocking import Pause

_REFUSED_LOGINS = frozenset({"unauthorized", "forbidden"})
_NETWORK_FAULTS = frozenset({"refused", "lost", "timeout", "unreachable"})
_QUICK_LOGINS = 2
"""One may have met a camera that just starts."""
_LOGIN_FIRST_S, _LOGIN_MOST_S = 300.0, 1800.0
_NO_JITTER = 0.0
_LOOK_S = 1.0  # between two looks whether to hurry


class Stopping(Protocol):
    """An Event that ends all waiting."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set; whether it is."""
        ...


class Retry:
    """Says how long to wait after a fault, and waits.

    Cameras lock accounts whose password is wrong too often, so that logins which were refused are tried seldom. A
    camera that the network hides is looked for once a second, and tried when it is there.

    Args:
        url: what is opened.
        backoff: waits after all faults but refused logins.
        clock: where the time is read.
        door: looks whether a host listens again.
    """

    def __init__(
        self, url: str, backoff: Backoff, clock: Clock, door: Callable[..., Door] = Door, *, live: bool = True
    ) -> None:
        self._url = url
        self._backoff = backoff
        self._clock = clock
        self._door = door
        self._live = live
        self._logins = Backoff(_LOGIN_FIRST_S, _LOGIN_MOST_S, _NO_JITTER)
        self._refusals = 0
        self._reason = ""
        self._hurried = threading.Event()

    def after(self, reason: str) -> float:
        """Seconds to wait after a fault."""
        self._reason = reason
        self._hurried.clear()
        if reason in _REFUSED_LOGINS:
            self._refusals += 1
            if self._refusals >= _QUICK_LOGINS:
                return self._logins.next_s()
        return self._backoff.next_s()

    def remark(self, wait_s: float) -> str:
        """What the stream's state is to say of a wait; empty for a short one."""
        if wait_s < _LOGIN_FIRST_S or self._reason not in _REFUSED_LOGINS:
            return ""
        return f"; next try in {wait_s / 60:.0f} minutes; reload to try at once"

    def accepted(self) -> None:
        """The stream is open: whoever asked for a password took it."""
        self._refusals = 0
        self._logins.reset()

    def hurry(self) -> None:
        """Try again now, where a login is waited for; from any thread. Refused again, it waits from the start."""
        if self._reason in _REFUSED_LOGINS:
            self._refusals = min(self._refusals, _QUICK_LOGINS - 1)
            self._logins.reset()
            self._hurried.set()

    def wait(self, wait_s: float, stopping: Stopping) -> None:
        """Wait so long, or until the host listens again, a login is to be tried at once, or all is to end."""
        deadline_s = self._clock.monotonic() + wait_s

        def pause(seconds: float) -> bool:
            left_s = deadline_s - self._clock.monotonic()
            return left_s <= 0 or stopping.wait(min(seconds, left_s)) or self._hurried.is_set()

        if self._reason in _REFUSED_LOGINS:
            while not pause(_LOOK_S):
                pass
        elif self._live and self._reason in _NETWORK_FAULTS:
            self._knock(pause)
        else:
            pause(wait_s)

    def _knock(self, pause: Pause) -> None:
        door = self._door(self._url, shut=self._reason == "refused")
        while True:
            opened, over = door.opens(pause)
            if opened:
                self._backoff.reset()
            if opened or over:
                return
