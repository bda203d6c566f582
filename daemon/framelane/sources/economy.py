"""Which pictures of a stream are worth decoding when there is more to decode than the host can."""

from __future__ import annotations

import random
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.sources.units import Unit

_FIRST_TRY_S, _LAST_TRY_S = 10.0, 300.0
_JITTER = 0.25
_LEAST_DISPOSABLE = 0.2  # a share of pictures below which leaving them out saves too little
_LEAST_KEYS = 0.5  # of the wanted rate: by key frames alone a stream that wants more loses too much
_MEMORY = 1 / 64


class Level(IntEnum):
    """What is decoded: everything, what other pictures need, or key frames alone."""

    ALL = 0
    REFERENCES = 1
    KEYS = 2


class Economy:
    """Goes a level down each time pictures come too late for the decoder, and up again after a while without.

    Only a stream with a low `fps` can save by that: it wants few of the pictures that it decodes. Each attempt to go
    up that fails doubles the time to the next one.

    Args:
        fps: the stream's limit; None for none.
        uniform: spreads attempts of many streams over time.
    """

    def __init__(self, fps: float | None, uniform: Callable[[float, float], float] = random.uniform) -> None:
        self.level = Level.ALL
        self._fps = fps
        self._uniform = uniform
        self._disposable = 0.0
        self._key_s: float | None = None
        self._key_interval_s: float | None = None
        self._changed_s = 0.0
        self._went_up_s = float("-inf")
        self._wait_s = _FIRST_TRY_S
        self._try_s = 0.0

    def wants(self, unit: Unit, now_s: float) -> bool:
        """Whether to decode a unit that has just been read."""
        if self._fps is None:
            return True
        self._disposable += (unit.disposable - self._disposable) * _MEMORY
        if unit.key:
            self._note_key(now_s)
        if self.level is Level.ALL:
            return True
        if now_s >= self._try_s:
            self._went_up_s = now_s
            self._change(Level(self.level - 1), now_s)
            if self.level is Level.REFERENCES and self._disposable < _LEAST_DISPOSABLE:
                self.level = Level.ALL
        if self.level is Level.KEYS:
            return unit.key
        return self.level is Level.ALL or not unit.disposable

    def late(self, now_s: float) -> None:
        """Pictures came too late for the decoder."""
        cheaper = self._cheaper()
        if cheaper is None or (self.level and now_s - self._changed_s < (self._key_interval_s or 0.0)):
            return
        # Too soon after an attempt to go up: the host can't do more yet.
        if now_s - self._went_up_s < 3 * _FIRST_TRY_S:
            self._wait_s = min(2 * self._wait_s, _LAST_TRY_S)
        elif self.level is Level.ALL:
            self._wait_s = _FIRST_TRY_S
        self._change(cheaper, now_s)

    def _cheaper(self) -> Level | None:
        """The next level down that helps and still gives about what is wanted; None if there is none."""
        if self._fps is None:
            return None
        if self.level is Level.ALL and self._disposable >= _LEAST_DISPOSABLE:
            return Level.REFERENCES
        interval_s = self._key_interval_s
        if self.level is not Level.KEYS and interval_s and 1 / interval_s >= _LEAST_KEYS * self._fps:
            return Level.KEYS
        return None

    def _change(self, level: Level, now_s: float) -> None:
        self.level = level
        self._changed_s = now_s
        self._try_s = now_s + self._wait_s * self._uniform(1 - _JITTER, 1 + _JITTER)

    def _note_key(self, now_s: float) -> None:
        if self._key_s is not None:
            gap_s = now_s - self._key_s
            known_s = self._key_interval_s
            self._key_interval_s = gap_s if known_s is None else known_s + (gap_s - known_s) / 4
        self._key_s = now_s
