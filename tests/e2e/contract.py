"""What consumers rely on, checked on messages as they came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from jsonschema import Draft202012Validator

from framelane.messages import schemas

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.neighbours.subscriber import Received

    from framelane.demo.truth import GroundTruth

_VALIDATORS = {
    f"framelane.{name}/1": Draft202012Validator(
        schemas.load(name), format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    for name in schemas.NAMES
}
# The level of the topic that names the kind, and whether it is a stream's.
_KINDS = {
    ("events", True): "framelane.event/1",
    ("zones", True): "framelane.zone/1",
    ("lines", True): "framelane.line/1",
    ("status", False): "framelane.status/1",
    ("stats", False): "framelane.node-stats/1",
    ("state", True): "framelane.state/1",
    ("stats", True): "framelane.stats/1",
    ("detections", True): "framelane.detections/1",
}


def assert_contract(message: Received, base: str) -> None:
    """The message is what its topic promises."""
    levels = message.topic.removeprefix(f"{base}/").split("/")
    body = message.json
    of_stream = levels[0] == "streams"
    assert body["schema"] == _KINDS[levels[2 if of_stream else 0], of_stream]
    errors = [error.message for error in _VALIDATORS[body["schema"]].iter_errors(body)]
    assert errors == []
    if of_stream:
        assert body["stream"] == levels[1]
    assert body["node"] == base.rpartition("/")[2]


def unix_s(timestamp: str) -> float:
    """Seconds since 1970."""
    return datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp()


@dataclass
class Score:
    """How detections compare with what was there."""

    matched: int = 0
    missed: int = 0
    false: int = 0
    iou_sum: float = 0.0

    @property
    def mean_iou(self) -> float:
        """Over matched objects."""
        return self.iou_sum / self.matched

    @property
    def recall(self) -> float:
        """Share of what was there that was found."""
        return self.matched / (self.matched + self.missed)

    @property
    def precision(self) -> float:
        """Share of what was found that was there."""
        return self.matched / (self.matched + self.false)

    def add(self, detections: Iterable[dict[str, Any]], truth: GroundTruth, names: tuple[str, ...]) -> None:
        """Match each detection, best first, with the object of its label that it overlaps most."""
        free = set(range(len(truth.class_id)))
        for found in sorted(detections, key=lambda each: -each["confidence"]):
            ious = {n: _iou(np.array(found["box"]), truth.xyxy[n]) for n in free}
            candidates = {n: iou for n, iou in ious.items() if names[truth.class_id[n]] == found["label"]}
            best = max(candidates, key=candidates.__getitem__, default=None)
            if best is None or candidates[best] < 0.5:
                self.false += all(iou < 0.5 for iou in ious.values())
                continue
            free.discard(best)
            if not truth.ignore[best]:
                self.matched += 1
                self.iou_sum += candidates[best]
        self.missed += sum(not truth.ignore[n] for n in free)


def _iou(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    inter = float(np.prod(np.clip(high - low, 0, None)))
    return inter / (float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - inter)
