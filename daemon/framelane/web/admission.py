"""Limits concurrent requests, and requests per second."""

from __future__ import annotations

from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from framelane.web.problem import ProblemError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from framelane.core.clock import Clock

_RETRY_S = 1


class Admission:
    """A limit on concurrent requests and a token bucket; use it only on the event loop's thread.

    Args:
        most: most requests at once.
        rate: requests per second, all clients together, with a burst of one second; None for no limit.
        clock: the source of time.
    """

    def __init__(self, most: int, rate: float | None, clock: Clock) -> None:
        self._most = most
        self._rate = rate
        self._clock = clock
        self._active = 0
        self._burst = max(rate or 0.0, 1.0)
        self._tokens = self._burst
        self._filled_s = clock.monotonic()

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Count a request as active.

        Raises:
            ProblemError: 429; too many requests are active, or came within a second.
        """
        if self._active >= self._most:
            raise self._refusal(f"{self._most} requests are in progress (http.detect.in_flight)")
        self._spend()
        self._active += 1
        try:
            yield
        finally:
            self._active -= 1

    def _spend(self) -> None:
        if self._rate is None:
            return
        now_s = self._clock.monotonic()
        self._tokens = min(self._tokens + (now_s - self._filled_s) * self._rate, self._burst)
        self._filled_s = now_s
        if self._tokens < 1.0:
            raise self._refusal(f"more than {self._rate:g} requests per second (http.detect.rate)")
        self._tokens -= 1.0

    def _refusal(self, why: str) -> ProblemError:
        return ProblemError(HTTPStatus.TOO_MANY_REQUESTS, f"{why}: try again", {"Retry-After": str(_RETRY_S)})
