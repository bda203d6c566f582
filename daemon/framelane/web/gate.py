"""Lets in as many requests as may be at work at once, and no more than so many a second."""

from __future__ import annotations

from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from framelane.web.problem import ProblemError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from framelane.core.clock import Clock

_RETRY_S = 1


class Gate:
    """For the event loop's thread alone.

    Args:
        most: requests at once.
        rate: requests a second, all clients together, with a burst of one second's; None for no limit.
        clock: where the time is read.
    """

    def __init__(self, most: int, rate: float | None, clock: Clock) -> None:
        self._most = most
        self._rate = rate
        self._clock = clock
        self._inside = 0
        self._burst = max(rate or 0.0, 1.0)
        self._tokens = self._burst
        self._filled_s = clock.monotonic()

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Be counted while at work.

        Raises:
            ProblemError: 429; there is no room, or too many have come.
        """
        if self._inside >= self._most:
            raise self._refusal(f"{self._most} requests are at work (http.detect.in_flight)")
        self._spend()
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    def _spend(self) -> None:
        if self._rate is None:
            return
        now_s = self._clock.monotonic()
        self._tokens = min(self._tokens + (now_s - self._filled_s) * self._rate, self._burst)
        self._filled_s = now_s
        if self._tokens < 1.0:
            raise self._refusal(f"more than {self._rate:g} requests a second (http.detect.rate)")
        self._tokens -= 1.0

    def _refusal(self, why: str) -> ProblemError:
        return ProblemError(HTTPStatus.TOO_MANY_REQUESTS, f"{why}: try again", {"Retry-After": str(_RETRY_S)})
