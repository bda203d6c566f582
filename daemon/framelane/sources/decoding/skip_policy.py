"""Chooses which pictures to decode when the host can't decode all of them."""

from __future__ import annotations

import random
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.sources.interfaces.units import Unit

_FIRST_TRY_S, _LAST_TRY_S = 10.0, 300.0
_JITTER = 0.25
# A share of pictures. Below it, skipping disposable pictures saves too little.
_LEAST_DISPOSABLE = 0.2
# A share of the wanted rate. Below it, key frames alone lose too much.
_LEAST_KEYS = 0.5
_MEMORY = 1 / 64


class Level(IntEnum):
    """What is decoded: all pictures, reference pictures, or key frames only."""

    ALL = 0
    REFERENCES = 1
    KEYS = 2


class SkipPolicy:
    """Goes one level down each time pictures are late, and up again after a while without late pictures.

    This saves work only for a stream with a low `fps`, which needs few of its decoded pictures. Each failed
    attempt to go up doubles the time to the next one.

    Args:
        fps: the stream's limit; None for none.
        uniform: spreads the attempts of many streams over time.
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

    def limit(self, fps: float | None) -> None:
        """Set another limit and start again with all pictures."""
        if fps != self._fps:
            self._fps, self.level = fps, Level.ALL

    def wants(self, unit: Unit, now_s: float) -> bool:
        """Return whether to decode a unit that has just been read."""
        if self._fps is None:
            return True
        # Disposable key frames, such as all of Motion JPEG, don't count as pictures that can be skipped
        # unnoticed.
        disposable = unit.disposable and not unit.key
        self._disposable += (disposable - self._disposable) * _MEMORY
        # A gradual refresh that begins here shows no correct image by itself.
        key = unit.key and not unit.recovery
        if key:
            self._note_key(now_s)
        if self.level is Level.ALL:
            return True
        if now_s >= self._try_s:
            self._went_up_s = now_s
            self._change(Level(self.level - 1), now_s)
            if self.level is Level.REFERENCES and self._disposable < _LEAST_DISPOSABLE:
                self.level = Level.ALL
        if self.level is Level.KEYS:
            return key
        return self.level is Level.ALL or not disposable

    def late(self, now_s: float) -> None:
        """Note that pictures were late."""
        cheaper = self._cheaper()
        if cheaper is None or (self.level and now_s - self._changed_s < (self._key_interval_s or 0.0)):
            return
        # This is too soon after an attempt to go up; the host can't decode more yet.
        if now_s - self._went_up_s < 3 * _FIRST_TRY_S:
            self._wait_s = min(2 * self._wait_s, _LAST_TRY_S)
        elif self.level is Level.ALL:
            self._wait_s = _FIRST_TRY_S
        self._change(cheaper, now_s)

    def _cheaper(self) -> Level | None:
        """Return the next level down that saves work and still gives about the wanted rate, or None."""
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
