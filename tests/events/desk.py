"""A journal that is turned by hand, on a clock that is too."""

from __future__ import annotations

import shutil
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson
from tests.sinks.examples import FakeClock

from framelane.config.sections.schema import Config
from framelane.config.sections.stream import StreamConfig
from framelane.events.journal import EventJournal
from framelane.events.outbox import Outbox
from framelane.storage.paths import wal_of
from framelane.telemetry.states import StreamState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from framelane.core.events import Event, Occupancy
    from framelane.messages.detections import Message
    from framelane.telemetry.states import StateName

LINE = {"points": [[0.1, 0.7], [0.9, 0.7]]}
ZONE = {"polygon": [[0.2, 0.5], [0.8, 0.5], [0.9, 1.0]]}
LOBBY: dict[str, Any] = {
    "track": True,
    "lines": {"street": {**LINE, "classes": ["person", "car"]}},
    "zones": {"yard": {**ZONE, "classes": ["person"]}},
}


def config_of(folder: Path, streams: dict[str, dict[str, Any]] | None = None, **journal: Any) -> Config:
    """A configuration with these streams, or with `lobby`."""
    made = [
        StreamConfig.model_validate({"id": name, "url": "rtsp://127.0.0.1/x", "model": "yolox", **options})
        for name, options in ({"lobby": LOBBY} if streams is None else streams).items()
    ]
    return Config.model_validate(
        {
            "node": {"id": "gate-01"},
            "models": {"yolox": {"path": "yolox.onnx"}},
            "mqtt": {"url": "mqtt://127.0.0.1"},
            "journal": {"folder": str(folder), **journal},
        }
    ).model_copy(update={"streams": made})


class Desk:
    """A journal, what it publishes, and a broker that takes events when told to."""

    def __init__(self, config: Config, clock: FakeClock | None = None, *, delivers: bool = True) -> None:
        self.config = config
        self.clock = clock or FakeClock()
        self.outbox = Outbox(self.clock)
        self.published: list[Message] = []
        self.troubles: list[str | None] = []
        self.journal = EventJournal(
            config,
            {},
            self.clock,
            self.published.append,
            self.outbox if delivers else None,
            self.troubles.append,
        )

    @property
    def path(self) -> Path:
        return self.journal._disk.path

    def turn(self, *happenings: Event | Occupancy, after_s: float = 0.05) -> None:
        """One turn of the thread, with these happenings."""
        self.clock.advance(after_s)
        if happenings:
            self.journal.take(happenings)
        self.journal.turn()

    def state(self, state: StateName, stream: str = "lobby") -> None:
        self.journal.stream_changed(StreamState(stream, state, "ok", "", self.clock.wall()))
        self.turn()

    def events(self, **wanted: Any) -> list[dict[str, Any]]:
        """Published events, those with these values."""
        bodies = [orjson.loads(each.payload) for each in self.published if each.kind == "events"]
        return [body for body in bodies if all(body[key] == value for key, value in wanted.items())]

    def retained(self) -> dict[str, Any]:
        """What the broker retains, by kind and key."""
        kept: dict[str, Any] = {}
        for each in self.published:
            if each.retain and each.payload:
                kept[f"{each.kind}/{each.key}"] = orjson.loads(each.payload)
            elif each.retain:
                kept.pop(f"{each.kind}/{each.key}", None)
        return kept

    def line(self, key: str = "street/person") -> tuple[int | None, int | None, bool]:
        kept = self.retained()[f"lines/{key}"]
        return kept["left"], kept["right"], kept["known"]

    def zone(self, key: str = "yard/person") -> tuple[int | None, bool]:
        kept = self.retained()[f"zones/{key}"]
        return kept["count"], kept["known"]

    def deliver(self, most: int = 1_000_000, *, acknowledge: bool = True) -> list[dict[str, Any]]:
        """What a broker gets now: up to `most` events, acknowledged or not."""
        got: list[dict[str, Any]] = []
        while len(got) < most and (taken := self.outbox.take()) is not None:
            got.append(orjson.loads(taken[1].payload))
            if acknowledge:
                self.outbox.settle(taken[0])
        return got

    def deliver_all(self) -> list[dict[str, Any]]:
        """Deliver and have more read, until nothing is left."""
        got: list[dict[str, Any]] = []
        while len(self.outbox):
            some = self.deliver()
            got += some
            before = len(self.outbox)
            self.turn()
            assert some or self.outbox.waiting() or len(self.outbox) < before, "nothing more comes"
        return got

    def copied_to(self, folder: Path) -> Path:
        """Copy the files as a kill would leave them."""
        folder.mkdir(exist_ok=True)
        for path in (self.path, wal_of(self.path)):
            if path.exists():
                shutil.copy(path, folder / path.name)
        return folder

    def end(self) -> None:
        self.journal.ended()


@contextmanager
def begun(config: Config, clock: FakeClock | None = None, *, delivers: bool = True) -> Iterator[Desk]:
    desk = Desk(config, clock, delivers=delivers)
    desk.turn()
    yield desk
    desk.end()


def lifecycles(events: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """How many different `new` and `end` each object has."""
    once = {each["event"]: (each["object"]["id"], each["kind"]) for each in events}
    found = Counter(once.values())
    return {name: (found[name, "new"], found[name, "end"]) for name, _ in found}
