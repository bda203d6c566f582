"""Kills a daemon with many events, or takes its broker or its disk away, and checks what a consumer got."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from framelane.measure.errors import BenchError
from framelane.measure.report import Goal, Section, figures_section, goals_section
from lab.event_audit import EventAudit
from lab.event_source import NODE, STREAMS
from lab.home import DISCOVERY, Home
from lab.module import lab_child
from lab.neighbors import free_port, mosquitto, wait_for_port
from lab.null_model import write_null_model
from lab.small_disk import keep_full

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from framelane.measure.host import Host
    from framelane.measure.process import Child

_MOST_FRESH_S = 1.0
"""An event this old must have been on disk when its process was killed."""
_LIFE_S = 1.5
"""Most seconds from a run's first event to its end."""
_START_S = 60.0
_QUIET_S = 2.0
_CATCH_UP_S = 120.0
_SESSION_S = 3600
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class EventsReport:
    """What a consumer got of a daemon that was killed again and again, or lost its broker or its disk for long.

    Attributes:
        kills: how often it was killed.
        outages: in how many of these lives the broker was away.
        troubles: what else was done to it, with figures.
        taken: events that were given to the journal.
        events: different events that the consumer got.
        received: messages, with duplicates.
        replayed: those of them that were marked as replayed.
        untold: events that came without their count.
        lost: events that were given and never came, because a kill came before they were on disk.
        oldest_lost_s: the largest age of those at the kill.
        late_states: late messages that Home Assistant got for its entities.
        faults: what the consumer found wrong.
    """

    host: Host | None
    command: str
    kills: int
    outages: int
    troubles: Mapping[str, str]
    taken: int
    events: int
    received: int
    replayed: int
    untold: int
    lost: int
    oldest_lost_s: float
    late_states: int
    faults: tuple[str, ...]

    @property
    def goals(self) -> tuple[Goal, ...]:
        """Return what must hold."""
        lost = Goal.at_most("events lost", 0, self.lost)
        if self.kills:
            lost = Goal.at_most(
                "age of the oldest lost event at a kill", _MOST_FRESH_S, self.oldest_lost_s, "s"
            )
        return Goal.at_most("faults", 0, len(self.faults)), lost

    def as_dict(self) -> dict[str, Any]:
        """Return all figures for JSON."""
        return {**asdict(self), "goals": [asdict(goal) for goal in self.goals]}

    def sections(self) -> tuple[Section, ...]:
        """Return the tables of summary and goals."""
        figures = {
            "kills, with the broker away": f"{self.kills}, {self.outages}",
            **self.troubles,
            "events given to the journal": str(self.taken),
            "events that came / messages / replayed": f"{self.events} / {self.received} / {self.replayed}",
            "events without their count": str(self.untold),
            "events lost": str(self.lost),
            "largest age of those at a kill, ms": f"{self.oldest_lost_s * 1e3:.0f}",
            "late messages that entities of Home Assistant read": str(self.late_states),
        }
        return figures_section(f"{self.command}\n{self.host}", figures), goals_section(self.goals)


class EventSoak:
    """A broker with a lasting session for a consumer, and lives of a daemon.

    Args:
        folder: for everything.
        seed: of the random moments.
        cameras: sections of the configuration with `models` and `streams`; without, objects are invented.
    """

    def __init__(self, folder: Path, seed: int, cameras: Mapping[str, object] | None = None) -> None:
        self.audit = EventAudit()
        self.home = Home()
        self.outages = 0
        self.troubles: dict[str, str] = {}
        self.disk = disk_of(folder)
        self._folder = folder
        self._cameras = cameras
        self._dice = random.Random(seed)  # noqa: S311 - no secret
        self._port = free_port()
        self._taken = folder / "taken.log"
        self._kills: list[float] = []
        self._broker: Child | None = None
        self._client = _client(self.audit, self.home)
        self._config = self._configure()

    def __enter__(self) -> EventSoak:
        self._start_broker()
        address = urlsplit(self._url)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho has no types there
        properties.SessionExpiryInterval = _SESSION_S
        self._client.connect(
            address.hostname or "", address.port or 0, clean_start=False, properties=properties
        )
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._stop_broker()

    def live_and_die(self, *, broker_away: bool) -> None:
        """Run the daemon and kill it at a random moment."""
        if broker_away:
            self.outages += 1
            self._stop_broker()
        with self._daemon() as daemon:
            if broker_away:
                self._wait_for(self._has_taken(), daemon)
            else:
                self._wait_for_new_run(daemon)
            time.sleep(self._dice.random() * _LIFE_S)
            os.kill(daemon.pid, signal.SIGKILL)
            self._kills.append(time.time())
        if broker_away:
            self._start_broker()

    def live_and_stop(self, *troubles: Callable[[Child], None]) -> None:
        """Run the daemon, let these happen to it, and stop it as systemd does, once it has delivered everything."""
        with self._daemon() as daemon:
            self._wait_for_new_run(daemon)
            time.sleep(_LIFE_S)
            for trouble in troubles:
                trouble(daemon)
                time.sleep(_LIFE_S)
            daemon.stop(30.0)
            self._kills.append(time.time())
        last, quiet_s = -1, time.monotonic()
        while time.monotonic() - quiet_s < _QUIET_S:
            if self.audit.received != last:
                last, quiet_s = self.audit.received, time.monotonic()
            time.sleep(_POLL_S)

    def lose_broker(self, daemon: Child, seconds: float) -> None:
        """Take the broker away, and wait until everything has come once it is back."""
        self._stop_broker()
        events, before = self.audit.events(), daemon.usage().rss_mb
        time.sleep(seconds)
        waiting = {event for _, event in self._given()}
        rss = f"{before:.1f} / {daemon.usage().rss_mb:.1f}"
        self._start_broker()
        back_s = time.monotonic()
        self._wait_for(lambda: waiting <= self.audit.ids(), daemon, _CATCH_UP_S)
        self.troubles |= {
            "broker away for, s": f"{seconds:g}",
            "events that waited for it": str(len(waiting) - events),
            "s until all of them had come": f"{time.monotonic() - back_s:.1f}",
            "RSS MB at the beginning / end of that time": rss,
        }

    def lose_disk(self, daemon: Child, seconds: float) -> None:
        """Fill the disk, and wait until everything has come once there is space."""
        events = self.audit.events()
        keep_full(self.disk / "other", seconds)
        free_s = time.monotonic()
        self.troubles |= {
            "disk full for, s": f"{seconds:g}",
            "events that came meanwhile": str(self.audit.events() - events),
        }
        given = {event for _, event in self._given()}
        self._wait_for(lambda: given <= self.audit.ids() and self.audit.known(), daemon, _CATCH_UP_S)
        self.troubles["s until all counts were known again"] = f"{time.monotonic() - free_s:.1f}"

    def report(self, host: Host | None, command: str) -> EventsReport:
        """Return what came of it."""
        given, arrived = self._given(), self.audit.ids()
        lost = [at for at, event in given if event not in arrived]
        ages = [min(kill - at for kill in self._kills if kill >= at) for at in lost]
        return EventsReport(
            host=host,
            command=command,
            kills=len(self._kills) - 1,
            outages=self.outages,
            troubles=self.troubles,
            taken=len(given),
            events=len(arrived),
            received=self.audit.received,
            replayed=self.audit.replayed,
            untold=self.audit.untold(),
            lost=len(lost),
            oldest_lost_s=max(ages, default=0.0),
            late_states=self.home.late,
            faults=(*self.audit.faults(), *self.home.faults),
        )

    def _given(self) -> list[tuple[float, str]]:
        """Return when each event was given to the journal, and its id."""
        lines = self._taken.read_text(encoding="utf-8").splitlines()
        return [(float(at), event) for at, event in (line.split() for line in lines)]

    @property
    def _url(self) -> str:
        return f"mqtt://127.0.0.1:{self._port}"

    def _daemon(self) -> Child:
        options = [] if self._cameras else ["--invent"]
        return lab_child(
            "daemon", self._folder, "event_source", [str(self._config), str(self._taken), *options]
        )

    def _configure(self) -> Path:
        rules = {
            "lines": {"street": {"points": [[0.1, 0.7], [0.9, 0.7]]}},
            "zones": {"yard": {"polygon": [[0.2, 0.5], [0.8, 0.5], [0.9, 1.0]]}},
        }
        # No camera is there: the events are invented.
        absent = f"rtsp://127.0.0.1:{free_port()}/none"
        config = {
            "node": {"id": NODE, "shutdown_s": 20},
            "log": {"level": "warning"},
            "mqtt": {
                "url": self._url,
                "spool": {"folder": str(self.disk / "spool"), "max_bytes": "16MiB"},
                "homeassistant": {"enabled": True, "prefix": DISCOVERY},
            },
            "journal": {"folder": str(self.disk / "journal")},
            "models": {"null": {"path": str(write_null_model(self._folder / "null.onnx"))}},
            "defaults": {"track": True},
            "streams": [{"id": stream, "url": absent, **rules} for stream in STREAMS],
            **(self._cameras or {}),
        }
        path = self._folder / "framelane.yaml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return path

    def _start_broker(self) -> None:
        settings = ["persistence true", f"persistence_location {self._folder}/"]
        settings += ["max_queued_messages 0", "max_inflight_messages 1000"]
        self._broker = mosquitto(self._folder, self._port, settings)
        self._broker.start()
        wait_for_port(self._broker, self._port)

    def _stop_broker(self) -> None:
        """Stop it cleanly, so that it keeps what it has acknowledged."""
        if self._broker is not None:
            self._broker.stop(30.0)
            self._broker = None

    def _wait_for_new_run(self, daemon: Child) -> None:
        before = self.audit.runs()
        self._wait_for(lambda: bool(self.audit.runs() - before), daemon)

    def _has_taken(self) -> Callable[[], bool]:
        def size() -> int:
            with suppress(FileNotFoundError):
                return self._taken.stat().st_size
            return 0

        before = size()
        return lambda: size() > before

    def _wait_for(self, happened: Callable[[], bool], daemon: Child, most_s: float = _START_S) -> None:
        deadline_s = time.monotonic() + most_s
        while not happened():
            daemon.usage()
            if time.monotonic() > deadline_s:
                raise BenchError(f"events of the daemon are missing after {most_s:g} s")
            time.sleep(_POLL_S)


def disk_of(folder: Path) -> Path:
    """Return where the daemon keeps what must not be lost."""
    return folder / "state"


def soak(
    folder: Path,
    kills: int,
    *,
    outage_every: int,
    seed: int = 1,
    host: Host | None = None,
    command: str = "",
    say: Callable[[str], None] = lambda _text: None,
) -> EventsReport:
    """Kill a daemon `kills` times, the broker away in each of `outage_every` lives, and return the report.

    Raises:
        BenchError: the daemon or the broker does not start.
    """
    with EventSoak(folder, seed) as trial:
        for number in range(1, kills + 1):
            trial.live_and_die(broker_away=number % outage_every == 0)
            if number % 10 == 0:
                say(f"{number} kills, {trial.audit.events()} events")
        trial.live_and_stop()
        return trial.report(host, command)


def _client(audit: EventAudit, home: Home) -> Client:
    client = Client(CallbackAPIVersion.VERSION2, client_id="soak-consumer", protocol=MQTTv5)
    client.reconnect_delay_set(1, 1)

    def take(_client: Client, _data: object, message: MQTTMessage) -> None:
        audit.take(message.topic, bytes(message.payload), again=message.dup)
        home.take(message.topic, bytes(message.payload))

    def subscribe(*_: object) -> None:
        client.subscribe([(f"framelane/{NODE}/#", 1), (f"{DISCOVERY}/#", 1)])

    client.on_message = take
    client.on_connect = subscribe
    return client
