"""Random lives of a spool: whatever happens in whatever order, nothing is lost, and both lanes stay in order."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from tests.sinks.examples import detections
from tests.sinks.mqtt.spool.test_thread import Bench

from framelane.sinks.mqtt.spool.location import SpoolLocation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from framelane.sinks.mqtt.spool.backlog import Entry

WINDOW = 40
STEPS = 400
STREAMS = ("a", "b", "c")


class Life:
    """A backlog with its spool and a broker that is played by chance."""

    def __init__(self, place: SpoolLocation, chance: random.Random, **config: Any) -> None:
        self.place = place
        self.chance = chance
        self.config = config
        self.bench = Bench(place, **config)
        self.published: Counter[str] = Counter()
        self.delivered: set[tuple[str, int]] = set()
        self.flying: list[Entry] = []
        self.last: dict[tuple[str, bool], int] = {}
        self.dropped = 0

    def publish(self) -> None:
        for _ in range(self.chance.randrange(1, 30)):
            stream = self.chance.choice(STREAMS)
            self.published[stream] += 1
            self.bench.backlog.append(detections(self.published[stream], stream))

    def take(self) -> None:
        for _ in range(self.chance.randrange(1, 30)):
            if len(self.flying) < WINDOW and (entry := self.bench.backlog.take()) is not None:
                self.flying.append(entry)
                body = orjson.loads(entry.message.payload)
                lane = body["stream"], body["replayed"]
                assert body["seq"] > self.last.get(lane, 0), "out of order"
                self.last[lane] = body["seq"]

    def settle(self) -> None:
        for _ in range(self.chance.randrange(1, 20)):
            if self.flying:
                entry = self.flying.pop(0)
                self.bench.backlog.settle(entry)
                body = orjson.loads(entry.message.payload)
                self.delivered.add((body["stream"], body["seq"]))

    def break_off(self) -> None:
        self.flying.clear()
        self.last.clear()
        self.bench.backlog.rewind()

    def turn(self) -> None:
        self.bench.turn(self.chance.choice((0.01, 0.05, 0.2)))

    def turn_badly(self) -> None:
        """A commit that fails, and events that come while it is under way."""
        file = self.bench.spool._file
        if file is None:
            return
        write, fails = file.write, self.chance.random() < 0.5

        def written(entries: Sequence[Entry]) -> int:
            self.chance.choice((self.take, self.settle, self.break_off, self.publish))()
            if fails:
                words = self.chance.choice(("disk I/O error", "database or disk is full"))
                raise sqlite3.OperationalError(words)
            return write(entries)

        file.write = written  # type: ignore[method-assign]
        self.turn()
        file.write = write  # type: ignore[method-assign]

    def restart(self) -> None:
        """The process ends in order, and another begins."""
        self.break_off()
        self.bench.end()
        self.dropped += self.bench.backlog.dropped.total()
        assert self.bench.backlog.in_memory() == 0
        self.bench = Bench(self.place, **self.config)
        for _ in range(3):
            self.bench.turn()

    def end(self) -> None:
        """The broker takes all that is left."""
        for _ in range(3000):
            self.take()
            self.settle()
            self.bench.turn(1.0)
            if not len(self.bench.backlog):
                break
        self.dropped += self.bench.backlog.dropped.total()
        self.bench.end()


def live(place: SpoolLocation, seed: int, **config: Any) -> Life:
    chance = random.Random(seed)
    life = Life(place, chance, **config)
    steps = (life.publish, life.take, life.settle, life.turn, life.turn_badly, life.break_off, life.restart)
    for step in chance.choices(steps, (6, 6, 6, 6, 2, 1, 0.3), k=STEPS):
        step()
        life.bench.clock.advance(chance.random() * 0.1)
    life.end()
    return life


@pytest.mark.parametrize("seed", range(12))
def test_no_result_is_lost_whatever_happens(tmp_path: Path, seed: int) -> None:
    life = live(SpoolLocation(tmp_path / "gate-01"), seed, capacity=100_000)
    wanted = {(stream, seq) for stream, count in life.published.items() for seq in range(1, count + 1)}
    assert wanted == life.delivered
    assert life.dropped == 0


@pytest.mark.parametrize("seed", range(6))
def test_what_does_not_fit_is_counted_whatever_happens(tmp_path: Path, seed: int) -> None:
    life = live(SpoolLocation(tmp_path / "gate-01"), seed, capacity=60, max_bytes="200KiB")
    lost = life.published.total() - len(life.delivered)
    assert lost > 0
    assert life.dropped >= lost  # what is given up while the broker has it may still be acknowledged
    assert life.dropped <= lost + WINDOW * STEPS / 10
