"""Which results of a stream become messages, and how many frames were skipped between two of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from framelane.config.sections.publish import PublishConfig
    from framelane.core.drop_reasons import LeftOutReason

_EARLY = 0.1  # of the interval: a result that comes so much early still fills its place on the grid


class Selection:
    """One model's results on one stream. Its owner does the locking.

    Nothing is kept back for later: a result that is due is the newest there is. The first one without objects after
    one with objects was published is always due, or a consumer would go on to see them; so objects that come and go
    all the time make at most twice `max_rate` messages. `empty: never` keeps even that one to itself.
    """

    __slots__ = (
        "_beat_due_s",
        "_due_s",
        "_interval_s",
        "_last_index",
        "_told_objects",
        "dropped",
        "publish",
    )

    def __init__(self, publish: PublishConfig) -> None:
        self.dropped = 0
        """Frames due for this model that were not inferred since its message before."""
        self._told_objects = False
        self._last_index = -1
        self.publish = publish
        self._begin()

    def follow(self, publish: PublishConfig) -> None:
        """Go by this from now on: a stream may be changed while it runs. What says the same changes nothing."""
        before, self.publish = self.publish, publish
        if publish != before:
            self._begin()

    def _begin(self) -> None:
        self._interval_s = 1 / self.publish.max_rate if self.publish.max_rate else 0.0
        self._due_s = self._beat_due_s = -math.inf

    def saw(self, index: int) -> None:
        """The frame of this index was inferred."""
        # A camera thread that was replaced (a stream changed while running) counts from 0 again.
        self.dropped += index - self._last_index - 1 if index > self._last_index else index
        self._last_index = index

    def left_out(self, *, empty: bool, now_s: float) -> LeftOutReason | None:
        """Why a result of now (monotonic) is not to be published; None if it is, which counts as done."""
        if empty and self.publish.empty == "never":
            return "empty"
        if not (empty and self._told_objects):
            if empty and self.publish.empty == "heartbeat" and now_s < self._beat_due_s:
                return "empty"
            if not self._is_due(now_s):
                return "rate"
        self._told_objects = not empty
        if empty:
            self._beat_due_s = now_s + self.publish.heartbeat_s
        return None

    def _is_due(self, now_s: float) -> bool:
        if not self._interval_s:
            return True
        if now_s > self._due_s + self._interval_s:
            self._due_s = now_s  # the first one, or after a pause: start the grid again
        if now_s < self._due_s - self._interval_s * _EARLY:
            return False
        self._due_s += self._interval_s
        return True
