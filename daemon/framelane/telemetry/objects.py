"""Counts the objects that a stream's models find, by label."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from framelane.core.frames import Result

MOST_LABELS = 100
OTHER = ""
"""Stands for all labels beyond the first MOST_LABELS."""


@dataclass(frozen=True, slots=True)
class ObjectCounts:
    """An ObjectCounter's values at one moment: totals since its creation.

    Attributes:
        results: results by model.
        found: objects by label.
    """

    results: Mapping[str, int] = field(default_factory=dict)
    found: Mapping[str, int] = field(default_factory=dict)

    def plus(self, later: ObjectCounts) -> ObjectCounts:
        """Return the sum with the counts of another process."""
        return ObjectCounts(
            Counter(self.results) + Counter(later.results), Counter(self.found) + Counter(later.found)
        )

    def per_frame_since(self, before: ObjectCounts | None) -> dict[str, float] | None:
        """Return the mean number of objects per frame since earlier counts, by label; None without a frame."""
        results, found = Counter(self.results), Counter(self.found)
        if before is not None:
            results.subtract(before.results)
            found.subtract(before.found)
        # Each model has a result of each frame, at most.
        frames = max(results.values(), default=0)
        return {label: count / frames for label, count in found.items() if count} if frames > 0 else None


class ObjectCounter:
    """Counts the objects in results; from any thread."""

    __slots__ = ("_found", "_lock", "_results")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._results: Counter[str] = Counter()
        self._found: Counter[str] = Counter()

    def saw(self, result: Result) -> None:
        """Count the objects of a result."""
        labels, found = result.model.labels, self._found
        with self._lock:
            self._results[result.model.name] += 1
            for class_id in result.detections.class_id.tolist():
                label = labels[class_id]
                found[label if label in found or len(found) < MOST_LABELS else OTHER] += 1

    def counts(self) -> ObjectCounts:
        """Return a copy that later results don't change."""
        with self._lock:
            return ObjectCounts(dict(self._results), dict(self._found))
