"""Snapshots of the demo's streets, compared with their ground truth."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from tests.footage.conftest import MODEL
from tests.waiting import wait_until

from framelane.config.yaml.load import parse_config
from framelane.core.events import Event
from framelane.footage.jpegs import note_of
from framelane.messages.events import event_id
from framelane.node.node import Node
from framelane.pipeline.local import LocalPipeline

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.footage.conftest import Street

    from framelane.core.events import Occupancy
    from framelane.footage.jpegs import Note
    from framelane.node.pipeline import NodeParts, Pipeline

KINDS = ["line", "zone_enter", "zone_exit", "loiter", "end"]
RULES = {
    "lines": {"middle": {"points": [[0.5, 0.0], [0.5, 1.0]]}},
    "zones": {"road": {"polygon": [[0, 0.4], [1, 0.4], [1, 1], [0, 1]], "loiter_s": 2}},
}
URL = "http://gate-01.example:8080"


class Taken:
    """Receives events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def take(self, happenings: Sequence[Event | Occupancy]) -> None:
        self.events += [each for each in happenings if isinstance(each, Event)]


def play(streets: Sequence[Street], folder: Path, **options: Any) -> list[Event]:
    """Play every frame of each street, and return the events."""
    taken = Taken()
    stream = {"track": True, "realtime": False, **RULES, **options}
    config = {
        "node": {"id": "gate-01"},
        "jsonl": {"path": str(folder / "out.jsonl")},
        "media": {"folder": "media", "min_free_bytes": "1MiB", "url": URL},
        "models": {"street": {"path": str(MODEL)}},
        "streams": [
            {"id": f"cam{number}", "url": str(street.clip), **stream} for number, street in enumerate(streets)
        ],
    }

    def local(whole: Any, parts: NodeParts) -> Pipeline:
        return LocalPipeline(whole, parts.board, parts.publisher, parts.clock, taken)

    # YAML contains JSON.
    node = Node(parse_config(json.dumps(config), folder, {}), local)
    node.start()
    try:
        wait_until(lambda: node.ended, timeout_s=120)
    finally:
        node.stop(20)
    return taken.events


def iou(one: Sequence[float], other: Sequence[float]) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(wide, 0.0) * max(high, 0.0)
    sizes = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(sizes) - shared)


def overlap(note: Note, street: Street) -> float:
    """The best IoU of a snapshot's region with an object that is visible in its frame."""
    return max(iou(note["region"], box) for box in street.truth.at(note["pts"]).xyxy.tolist())


def test_each_event_has_a_snapshot_that_shows_its_object(streets: list[Street], tmp_path: Path) -> None:
    events = play(streets, tmp_path, snapshots={})
    due = {event_id("gate-01", each): each for each in events if each.kind in KINDS}
    assert len(due) >= 50
    paths = {path.stem: path for path in (tmp_path / "media").glob("*/*/*.jpg") if "." not in path.stem}
    # A stream that ends leaves no object without an end, and none without a picture.
    assert paths.keys() == due.keys()
    overlaps = []
    for name, event in due.items():
        assert event.snapshot_url == f"{URL}/api/events/{name}/snapshot.jpg"
        assert paths[name].parent.name == event.stream
        data = paths[name].read_bytes()
        note = note_of(data)
        assert note is not None
        assert (note["event"], note["kind"], note["rule"]) == (name, event.kind, event.rule)
        assert (note["object"], note["label"]) == (event.object.id, event.object.label)
        left, top, right, bottom = note["region"]
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        assert image.shape == (bottom - top, right - left, 3)
        overlaps.append((note["confidence"], overlap(note, streets[int(event.stream[-1])])))
    confidence, found = np.array(overlaps).T
    # The model's boxes of small objects are not that exact; neither are their crops.
    assert np.median(found) >= 0.75
    assert (found[confidence >= 0.8] >= 0.8).mean() >= 0.8


def test_events_without_snapshots_leave_no_trace(streets: list[Street], tmp_path: Path) -> None:
    events = play(streets[:1], tmp_path)
    assert len(events) > 10
    assert [each for each in events if each.snapshot_url] == []
    assert not (tmp_path / "media").exists()
