"""A journal with events, and a folder with their snapshots and clips, behind the page's routes."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from fastapi import APIRouter
from tests.events.desk import Desk, config_of
from tests.events.examples import PERSON, event
from tests.waiting import wait_until

from framelane.footage.index import MediaIndex
from framelane.footage.jpegs import annotated
from framelane.footage.store import Limits, MediaStore, Place
from framelane.messages.events import event_id
from framelane.web.event_history import router as history_router
from framelane.web.events import router as file_router

if TYPE_CHECKING:
    from framelane.core.events import Event

NODE = "gate-01"


class Past:
    """What happened; a context manager.

    Args:
        place: a folder for all of it.
        journal: more options of the `journal` section.
    """

    def __init__(self, place: Path, **journal: Any) -> None:
        self.desk = Desk(config_of(Path(journal.pop("folder", place / "journal")), **journal))
        self.desk.clock.wall_s = time.time()
        self.store = MediaStore(place / "media", Limits(1 << 30, 1e9, 0))
        self.index = MediaIndex(self.store.folder)
        self.routes = APIRouter()
        self.routes.include_router(history_router(self.desk.journal.history, self.index, None))
        self.routes.include_router(file_router(self.index, annotated))

    def __enter__(self) -> Past:
        self.desk.journal.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.desk.journal.stop(60.0)

    def happen(self, *events: Event) -> list[str]:
        """Have events written down; return their ids."""
        expected = len(self.desk.events()) + len(events)
        self.desk.journal.take(events)
        wait_until(lambda: len(self.desk.events()) == expected)
        return [event_id(NODE, each) for each in events]

    def picture(self, name: str, shade: int = 120, suffix: str = "jpg") -> None:
        """Store a snapshot of an event."""
        pixels = np.full((180, 120 if suffix == "jpg" else 320, 3), shade, np.uint8)
        cv2.circle(pixels, (60, 60), 30, (60, 180, 240), -1)
        self.store.write(
            Place(time.time(), "lobby", name, suffix), [cv2.imencode(".jpg", pixels)[1].tobytes()]
        )

    def clip(self, name: str, data: bytes) -> None:
        """Store a clip of an event."""
        self.store.write(Place(time.time(), "lobby", name, "mp4"), [data])


def seen(number: int, /, label: str = "person", ago_s: float = 60.0, **changes: Any) -> Event:
    """`new` of an object, some time ago."""
    stream = changes.get("stream", "lobby")
    shown = replace(PERSON, id=f"{NODE}/{stream}/run-1/{number}", track_id=number, label=label)
    return event(number, **{"object": shown, "at": time.time() - ago_s} | changes)


def crossed(number: int, /, **changes: Any) -> Event:
    """The object crossed the line `street` to the left."""
    return seen(number, **{"kind": "line", "rule": "street", "direction": "left"} | changes)
