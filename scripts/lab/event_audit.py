"""Checks a node's events as a consumer gets them: whether any is missing, counted twice, or left open."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class CounterKey(NamedTuple):
    """A counter: stream, rule, side (a direction, or a kind of zone event), label and epoch."""

    stream: str
    rule: str
    side: str
    label: str
    epoch: str


class EventAudit:
    """Takes messages as they arrive, from any thread, and finds faults in all of them."""

    def __init__(self) -> None:
        self.received = 0
        self.replayed = 0
        self._events: dict[str, dict[str, Any]] = {}
        self._faults: list[str] = []
        self._lines: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._lock = threading.Lock()

    def take(self, topic: str, payload: bytes, *, again: bool = False) -> None:
        """Note a message of any topic; `again` if the broker itself may have sent it before (DUP)."""
        kind = topic.rsplit("/", maxsplit=1)[-1]
        if not payload or ("/lines/" not in topic and kind != "events"):
            return
        body = orjson.loads(payload)
        with self._lock:
            if kind == "events":
                self._take_event(body, again=again)
            else:
                self._lines[body["stream"], body["line"], body["label"]] = body

    def runs(self) -> set[str]:
        """Return the runs whose events have arrived."""
        with self._lock:
            return {body["run"] for body in self._events.values()}

    def ids(self) -> set[str]:
        """Return the ids of the events that have arrived."""
        with self._lock:
            return set(self._events)

    def untold(self) -> int:
        """Return how many events of rules have arrived without their count."""
        with self._lock:
            return sum(body["rule"] is not None and body["total"] is None for body in self._events.values())

    def known(self) -> bool:
        """Return whether all counters of lines are known."""
        with self._lock:
            return all(state["known"] for state in self._lines.values())

    def events(self) -> int:
        """Return how many different events have arrived."""
        with self._lock:
            return len(self._events)

    def faults(self) -> list[str]:
        """Return all faults, once everything has arrived."""
        with self._lock:
            return [*self._faults, *self._of_lifecycles(), *self._of_counters()]

    def _take_event(self, body: dict[str, Any], *, again: bool) -> None:
        self.received += 1
        replayed = body.pop("replayed")
        self.replayed += replayed
        known = self._events.setdefault(body["event"], body)
        if known is body:
            return
        if known != body:
            self._faults.append(f"event {body['event']} has two contents")
        if not replayed and not again:
            self._faults.append(f"event {body['event']} came twice and did not say so")

    def _lifecycles(self) -> dict[str, tuple[int, int]]:
        kinds = Counter((body["object"]["id"], body["kind"]) for body in self._events.values())
        return {name: (kinds[name, "new"], kinds[name, "end"]) for name, _ in list(kinds)}

    def _of_lifecycles(self) -> list[str]:
        return [
            f"object {name} has {new} new and {end} end"
            for name, (new, end) in self._lifecycles().items()
            if (new, end) != (1, 1)
        ]

    def _of_counters(self) -> list[str]:
        totals: dict[CounterKey, list[int]] = defaultdict(list)
        untold: Counter[CounterKey] = Counter()
        for body in self._events.values():
            if body["rule"] is None:
                continue
            side, label = body["direction"] or body["kind"], body["object"]["label"]
            key = CounterKey(body["stream"], body["rule"], side, label, body["epoch"] or "")
            if body["total"] is None:
                untold[key] += 1
            else:
                totals[key].append(body["total"])
        gaps = {key: _gaps(numbers, untold[key._replace(epoch="")]) for key, numbers in totals.items()}
        faults = [f"{key}: {found}" for key, found in gaps.items() if found]
        for (stream, line, label), state in self._lines.items():
            for side in ("left", "right"):
                key = CounterKey(stream, line, side, label, state["epoch"])
                counted = len(totals.get(key, ())) + untold[key._replace(epoch="")]
                if state[side] != counted:
                    faults.append(f"{stream}/{line}/{label}: {counted} to the {side}, retained {state[side]}")
        return faults


def _gaps(numbers: Sequence[int], untold: int) -> str:
    """Return what is wrong with totals that should be 1, 2, 3, ...; empty if nothing.

    As many may be missing as events did not tell theirs, because the disk was full.
    """
    missing = sorted(set(range(1, max(numbers) + 1)) - set(numbers))
    twice = [number for number, times in Counter(numbers).items() if times > 1]
    return (_listed("missing", missing) if len(missing) > untold else "") + _listed("twice", twice)


def _listed(what: str, numbers: Iterable[int]) -> str:
    listed = list(numbers)
    return f"{what} {listed[:5]} ({len(listed)}) " if listed else ""
