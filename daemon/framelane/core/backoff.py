"""Exponential backoff with jitter, for everything that retries forever."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Backoff:
    """Delays that double from `first_s` to `most_s`, spread by +-`jitter` to keep cameras out of step.

    After `AWS Architecture Blog, Exponential Backoff and Jitter`; the floor delays the first retry.
    """

    def __init__(
        self,
        first_s: float,
        most_s: float,
        jitter: float = 0.25,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._jitter = jitter
        self._uniform = uniform
        self._failures = 0

    def next_s(self) -> float:
        """Return the seconds to wait before the next try; each call counts as one more failure."""
        plain_s = min(self._first_s * 2.0 ** min(self._failures, 32), self._most_s)
        self._failures += 1
        return min(plain_s * self._uniform(1 - self._jitter, 1 + self._jitter), self._most_s)

    def reset(self) -> None:
        """Start again from the first delay, after a success."""
        self._failures = 0
