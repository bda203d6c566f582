"""The number of objects in each zone, by label, while that is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from framelane.messages.events import ZoneState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from framelane.core.clock import Clock
    from framelane.core.events import Occupancy
    from framelane.events.rules import Rule, RuleKey
    from framelane.telemetry.states import StateName

# A count may come this much earlier than the news that its stream is live.
_EARLY_S = 1.0
# After this long on a live stream, a count that was not reported has not changed.
_SETTLE_S = 3.0


class ZoneKey(NamedTuple):
    """A label in a zone of a stream."""

    stream: str
    zone: str
    label: str


@dataclass(frozen=True, slots=True)
class _Said:
    """A count, its Unix time, and the monotonic time at which it came."""

    count: int
    since: float
    at_s: float


@dataclass(slots=True)
class _Stream:
    """The counts of a stream.

    Attributes:
        state: its state.
        shown: whether its counts are known.
        settled_s: monotonic time from which unreported counts are taken as unchanged; infinity for never.
        said: the newest counts of this connection, by zone and label.
    """

    state: StateName = "connecting"
    shown: bool = False
    settled_s: float = float("inf")
    said: dict[ZoneKey, _Said] = field(default_factory=dict)


class Occupancies:
    """The occupancy of all zones. Used by the journal's thread.

    Nothing is known before a stream is live and reports a count. A stall hides the counts; they are known again
    with the next count, or when the stream has been live for a moment without any change. Any other end of
    `live` ends the connection and its tracks, so the counts are forgotten.

    Args:
        clock: for ages and time stamps.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rules: dict[tuple[str, str], Rule] = {}
        self._streams: dict[str, _Stream] = {}
        self._keys: dict[ZoneKey, None] = {}
        self._changed: dict[ZoneKey, None] = {}

    def configure(self, rules: Mapping[RuleKey, Rule]) -> None:
        """Use the zones of these rules from now on."""
        before = self._rules
        self._rules = {(key.stream, key.name): rule for key, rule in rules.items() if key.kind == "zones"}
        self._keys = {key: None for key in self._keys if self._applies(key)}
        for area in before.keys() & self._rules.keys():
            if before[area].digest != self._rules[area].digest:
                self._doubt(*area)
        for (stream, zone), rule in self._rules.items():
            for label in rule.labels or ():
                self.learn(ZoneKey(stream, zone, label))

    def learn(self, key: ZoneKey) -> None:
        """Publish this label of a zone from now on, if it applies."""
        if key not in self._keys and self._applies(key):
            self._keys[key] = None
            self._changed[key] = None

    def take(self, occupancy: Occupancy) -> None:
        """Note a count."""
        key = ZoneKey(occupancy.stream, occupancy.zone, occupancy.label)
        if not self._applies(key):
            return
        self.learn(key)
        stream, now_s = self._stream(key.stream), self._clock.monotonic()
        stream.said[key] = _Said(occupancy.count, occupancy.at, now_s)
        self._changed[key] = None
        if stream.state == "live":
            self._show(stream)

    def stream_changed(self, name: str, state: StateName) -> None:
        """Note a stream's state."""
        stream = self._stream(name)
        before, stream.state = stream.state, state
        if state == before:
            return
        now_s = self._clock.monotonic()
        if state == "live" and before == "stalled" and stream.said:
            stream.settled_s = now_s + _SETTLE_S
        elif state == "live":
            stream.said = {key: said for key, said in stream.said.items() if now_s - said.at_s < _EARLY_S}
            if stream.said:
                self._show(stream)
        else:
            if state != "stalled":
                stream.said.clear()
            self._hide(name, stream)

    def hide_all(self) -> None:
        """Forget every count: nothing is known while no daemon runs."""
        for name in list(self._streams):
            self.stream_changed(name, "down")

    def forget(self, name: str) -> None:
        """Forget a removed stream."""
        self._streams.pop(name, None)

    def tick(self) -> None:
        """Show what has not changed for a moment; call about every second."""
        now_s = self._clock.monotonic()
        for name, stream in self._streams.items():
            if stream.state == "live" and now_s >= stream.settled_s:
                self._settle(name, stream)

    def changed(self) -> list[ZoneState]:
        """Return the states that are new since the last call."""
        changed, self._changed = [key for key in self._changed if key in self._keys], {}
        return [self._state(key) for key in changed]

    def _state(self, key: ZoneKey) -> ZoneState:
        stream = self._stream(key.stream)
        said = stream.said.get(key) if stream.shown else None
        count, since = (None, None) if said is None else (said.count, said.since)
        return ZoneState(*key, count=count, since=since, as_of=self._clock.wall())

    def _doubt(self, name: str, zone: str) -> None:
        """Forget the counts of a changed zone; those that are not reported soon are 0."""
        stream = self._stream(name)
        for key in self._keys:
            if (key.stream, key.zone) == (name, zone):
                stream.said.pop(key, None)
                self._changed[key] = None
        if stream.shown:
            stream.settled_s = self._clock.monotonic() + _SETTLE_S

    def _show(self, stream: _Stream) -> None:
        if not stream.shown:
            stream.shown, stream.settled_s = True, self._clock.monotonic() + _SETTLE_S
            self._mark(stream.said)

    def _hide(self, name: str, stream: _Stream) -> None:
        stream.shown, stream.settled_s = False, float("inf")
        self._mark(key for key in self._keys if key.stream == name)

    def _settle(self, name: str, stream: _Stream) -> None:
        """Show a stream's counts; labels of earlier connections that this one has not seen are at 0."""
        stream.shown, stream.settled_s = True, float("inf")
        now = self._clock.wall()
        for key in self._keys:
            if key.stream == name:
                stream.said.setdefault(key, _Said(0, now, self._clock.monotonic()))
                self._changed[key] = None

    def _mark(self, keys: Iterable[ZoneKey]) -> None:
        self._changed.update(dict.fromkeys(keys))

    def _stream(self, name: str) -> _Stream:
        return self._streams.setdefault(name, _Stream())

    def _applies(self, key: ZoneKey) -> bool:
        rule = self._rules.get((key.stream, key.zone))
        return rule is not None and rule.applies_to(key.label)
