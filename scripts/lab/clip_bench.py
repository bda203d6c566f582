"""Runs a daemon that cuts clips of many cameras while its broker is away and its disk is full, and checks each clip."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from prometheus_client.parser import text_string_to_metric_families

from framelane.demo.clips import ensure_clips
from framelane.footage import ledger
from framelane.measure.errors import BenchError
from framelane.measure.process import Child
from framelane.measure.report import Goal, Section, goals_section
from lab.clip_check import Promise, check_clip, unix_time
from lab.neighbors import Site, free_port, mosquitto, wait_for_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from framelane.measure.host import Host

MODEL = files("framelane.demo") / "assets" / "framelane-demo.onnx"
PROMISE = Promise(before_s=2.0, after_s=1.0, most_s=10.0)
PHASES = ("all well", "broker away", "broker away, disk full", "all well again")
MOST_BYTES = 64 << 20
LEAST_FREE = 8 << 20
_FPS = 5
_POLL_S = 0.05
_LIVE_S = 90.0
_SETTLE_S = PROMISE.before_s + 5
"""Seconds from the last camera's first picture until the pre-roll of any clip is there."""
_REST_S = 25.0
"""Most seconds for the clips of the last phase, and for the broker to get all events."""


@dataclass(slots=True)
class Phase:
    """What happened in one phase.

    Attributes:
        name: what is away.
        began_at: Unix time.
        seconds: its length.
        clips: clips that an event announced.
        at_once: most of them that were open at one time.
        played: clips that play and are as promised.
        deleted: clips that the folder's limits had deleted before they were fetched.
        begin_s: from the promised begin to the first picture; the earliest and the latest clip.
        lost: clips that no event announced, by fate.
        inferred: frames that were inferred.
        dropped: frames that were not, by reason.
        most_bytes: most that the folder took.
        least_free: least that the disk had free, in bytes.
        faults: what is wrong with clips.
    """

    name: str
    began_at: float = 0.0
    seconds: float = 0.0
    clips: int = 0
    at_once: int = 0
    played: int = 0
    deleted: int = 0
    begin_s: tuple[float, float] | None = None
    lost: dict[str, int] = field(default_factory=dict)
    inferred: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    most_bytes: int = 0
    least_free: int = 1 << 62
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ClipsReport:
    """All phases, and what reached the broker.

    Attributes:
        phases: in their order.
        announced: clips in the daemon's own file of events.
        arrived: those of them that the consumer at the broker got.
    """

    host: Host | None
    command: str
    phases: tuple[Phase, ...]
    announced: int
    arrived: int

    @property
    def goals(self) -> tuple[Goal, ...]:
        """Return what must hold."""
        clips = sum(phase.clips for phase in self.phases)
        good = sum(phase.played + phase.deleted for phase in self.phases)
        dropped = sum(sum(phase.dropped.values()) for phase in self.phases)
        return (
            Goal.at_least("clips that were checked", 8 * len(self.phases), clips),
            Goal.at_least("most clips open at once", 8, max(phase.at_once for phase in self.phases)),
            Goal.at_most("clips that do not play or are not as promised", 0, clips - good),
            Goal.at_most("events `clip` that the broker never got", 0, self.announced - self.arrived),
            Goal.at_most("frames dropped", 0, dropped),
            Goal.at_most("most bytes over the limit", 0, self._over),
        )

    @property
    def _over(self) -> int:
        return max(0, max(phase.most_bytes for phase in self.phases) - MOST_BYTES)

    def as_dict(self) -> dict[str, Any]:
        """Return all figures for JSON."""
        return {**asdict(self), "goals": [asdict(goal) for goal in self.goals]}

    def sections(self) -> tuple[Section, ...]:
        """Return the tables of phases and goals."""
        columns = ("phase", "s", "clips", "at once", "as promised", "deleted", "begin, s", "lost", "inferred")
        more = ("dropped", "most MiB", "least free MiB")
        rows = tuple(_row(phase) for phase in self.phases)
        return Section(f"{self.command}\n{self.host}", columns + more, rows), goals_section(self.goals)


def _row(phase: Phase) -> tuple[str, ...]:
    begin = "-" if phase.begin_s is None else f"{phase.begin_s[0]:+.2f} .. {phase.begin_s[1]:+.2f}"
    lost = ", ".join(f"{count} {fate}" for fate, count in phase.lost.items() if count) or "0"
    dropped = ", ".join(f"{count} {reason}" for reason, count in phase.dropped.items() if count) or "0"
    counts = (phase.clips, phase.at_once, phase.played, phase.deleted)
    sizes = (phase.most_bytes / 2**20, phase.least_free / 2**20)
    return (
        phase.name,
        f"{phase.seconds:.0f}",
        *map(str, counts),
        begin,
        lost,
        str(phase.inferred),
        dropped,
        *(f"{size:.1f}" for size in sizes),
    )


class Watcher:
    """Looks at the folder's size and the disk's free space all the time, and fills the disk if told to."""

    def __init__(self, disk: Path) -> None:
        self.phase = Phase("before")
        self.filling = threading.Event()
        self._disk = disk
        self._media = disk / "media"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def free_disk(self) -> None:
        """Remove what fills the disk."""
        self.filling.clear()
        time.sleep(2 * _POLL_S)
        (self._disk / "filler").unlink(missing_ok=True)

    def _run(self) -> None:
        while not self._ended.wait(_POLL_S):
            if self.filling.is_set():
                self._fill()
            phase = self.phase
            phase.least_free = min(phase.least_free, shutil.disk_usage(self._disk).free)
            with suppress(FileNotFoundError):
                phase.most_bytes = max(phase.most_bytes, self._taken())

    def _fill(self) -> None:
        with (self._disk / "filler").open("ab", buffering=0) as file, suppress(OSError):
            while not self._ended.is_set():
                file.write(bytes(1 << 16))

    def _taken(self) -> int:
        # While we hold the lock, nobody makes or deletes a file.
        with ledger.locked(self._media):
            taken = 0
            for path in self._media.glob("*/*/*"):
                with suppress(FileNotFoundError):
                    taken += path.stat().st_blocks * 512
            return taken


class ClipBench:
    """A daemon on its cameras, broker and disk.

    Args:
        site: a folder, and cameras.
        disk: a small file system.
        urls: of the cameras.
    """

    def __init__(self, site: Site, disk: Path, urls: Sequence[str]) -> None:
        self.ready: dict[str, dict[str, Any]] = {}
        self.ends: dict[str, dict[str, Any]] = {}
        self.arrived: set[str] = set()
        self.steady_at = 0.0
        self.withheld: set[str] = set()
        self._folder = site.folder
        self._media = disk / "media"
        self._fetched = site.folder / "fetched"
        self._fetched.mkdir()
        self._events = site.folder / "events.jsonl"
        self._read = 0
        self._broker: Child | None = None
        self._port, self._http = free_port(), free_port()
        self._daemon_http = httpx.Client(trust_env=False, timeout=30)
        self._client = self._consumer()
        sections = {
            "mqtt": {
                "url": f"mqtt://127.0.0.1:{self._port}",
                "spool": {"folder": str(site.folder / "spool")},
            },
            "http": {"listen": f"127.0.0.1:{self._http}"},
            "jsonl": {"path": str(self._events), "kinds": ["events"]},
            "media": {
                "folder": str(self._media),
                "max_bytes": str(MOST_BYTES),
                "min_free_bytes": str(LEAST_FREE),
            },
        }
        options = {"track": True, "fps": _FPS, "events": {}, "snapshots": {}, "clips": asdict(PROMISE)}
        path = site.configure({"path": str(MODEL)}, urls, sections, None, **options)
        self.daemon = Child("framelane", [sys.executable, "-m", "framelane", "run", str(path)], site.folder)

    def __enter__(self) -> ClipBench:
        self.start_broker()
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho has no types there
        properties.SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", self._port, clean_start=False, properties=properties)
        self._client.loop_start()
        self.daemon.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._daemon_http.close()
        self.daemon.stop(30.0)
        self._client.disconnect()
        self._client.loop_stop()
        self.stop_broker()

    def start_broker(self) -> None:
        """Start the broker, with the sessions that it had; does nothing if it runs."""
        if self._broker is not None:
            return
        settings = ["persistence true", f"persistence_location {self._folder}/"]
        settings += ["max_queued_messages 0", "max_inflight_messages 1000"]
        self._broker = mosquitto(self._folder, self._port, settings)
        self._broker.start()
        wait_for_port(self._broker, self._port)

    def stop_broker(self) -> None:
        """Stop the broker; it keeps what it has acknowledged."""
        if self._broker is not None:
            self._broker.stop(30.0)
            self._broker = None

    def wait_until_live(self, streams: int) -> None:
        """Wait until all cameras are live, and for the pre-roll of a clip."""
        deadline_s = time.monotonic() + _LIVE_S
        while self._live() < streams:
            if time.monotonic() > deadline_s:
                raise BenchError(f"not all cameras are live after {_LIVE_S:g} s")
            self.daemon.usage()
            time.sleep(_POLL_S)
        time.sleep(_SETTLE_S)
        self.steady_at = time.time() - 1

    def metrics(self, name: str) -> dict[str, int]:
        """Return a counter's sums over the streams, by its other label."""
        sums: dict[str, int] = {}
        for family in text_string_to_metric_families(self._get("/metrics").text):
            for sample in family.samples:
                if sample.name == f"framelane_{name}":
                    label = "".join(value for key, value in sample.labels.items() if key != "stream")
                    sums[label] = sums.get(label, 0) + int(sample.value)
        return sums

    def follow(self, seconds: float) -> None:
        """Read events as they are written, and fetch each clip at once."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self.daemon.usage()
            # At most those that are there now, so that a slow host comes to an end.
            for body in list(self._new_events()):
                if body["kind"] == "end":
                    self.ends[body["event"]] = body
                elif body["kind"] == "clip":
                    self.ready[body["of"]] = body
                    self._fetch(body)
            time.sleep(_POLL_S)

    def file(self, name: str) -> Path | None:
        """Return the clip of an event as it was fetched; None if it was not there."""
        path = self._fetched / f"{name}.mp4"
        return path if path.exists() else None

    def _fetch(self, body: Mapping[str, Any]) -> None:
        answer = self._get(urlsplit(body["clip_url"]).path)
        if answer.status_code == httpx.codes.OK:
            (self._fetched / f"{body['of']}.mp4").write_bytes(answer.content)
        elif any(self._media.glob(f"*/*/{body['of']}.mp4")):
            self.withheld.add(body["of"])

    def _new_events(self) -> Iterator[dict[str, Any]]:
        with suppress(FileNotFoundError), self._events.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if line.endswith(b"\n"):
                    self._read += len(line)
                    yield json.loads(line)

    def _live(self) -> int:
        with suppress(httpx.HTTPError):
            live: int = self._get("/api/status").json()["node"]["streams_live"]
            return live
        return 0

    def _get(self, path: str) -> httpx.Response:
        return self._daemon_http.get(f"http://127.0.0.1:{self._http}{path}")

    def _consumer(self) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, client_id="clips-consumer", protocol=MQTTv5)
        client.reconnect_delay_set(1, 1)

        def take(_client: Client, _data: object, message: MQTTMessage) -> None:
            body = json.loads(message.payload)
            if body["kind"] == "clip":
                self.arrived.add(body["of"])

        def subscribe(*_: object) -> None:
            client.subscribe("framelane/bench/streams/+/events", 1)

        client.on_message = take
        client.on_connect = subscribe
        return client


def measure_clips(
    disk: Path,
    streams: int,
    seconds: float,
    cameras: Path,
    host: Host | None = None,
    command: str = "",
    say: Callable[[str], None] = lambda _text: None,
) -> ClipsReport:
    """Run all phases.

    Args:
        disk: a small file system, for the daemon's clips alone.
        streams: cameras, each with a street of the demo.
        seconds: of each phase.
        cameras: the script that runs them.
        host: for the report.
        command: for the report.
        say: tells what happens.

    Raises:
        BenchError: something does not start.
    """
    streets = ensure_clips(Path("/tmp/framelane-bench-streets"), min(streams, 4))  # noqa: S108 - a cache
    with ExitStack() as stack:
        site = stack.enter_context(Site(broker="mosquitto", subscribers=0))
        _, urls = site.cameras(cameras, streets, streams)
        watcher = stack.enter_context(Watcher(disk))
        bench = stack.enter_context(ClipBench(site, disk, urls))
        bench.wait_until_live(streams)
        phases = [_phase(bench, watcher, name, seconds, say) for name in PHASES]
        began_s = time.monotonic()
        while time.monotonic() - began_s < _REST_S and not bench.ready.keys() <= bench.arrived:
            bench.follow(1.0)
        say("checking the clips")
        _check(bench, phases)
        arrived = len(bench.arrived & bench.ready.keys())
    return ClipsReport(host, command, tuple(phases), len(bench.ready), arrived)


def _phase(
    bench: ClipBench, watcher: Watcher, name: str, seconds: float, say: Callable[[str], None]
) -> Phase:
    say(name)
    if "broker away" in name:
        bench.stop_broker()
    else:
        bench.start_broker()
    if "disk full" in name:
        watcher.filling.set()
    else:
        watcher.free_disk()
    phase = watcher.phase = Phase(name, time.time())
    inferred, dropped, lost = _counts(bench)
    bench.follow(seconds)
    phase.seconds = time.time() - phase.began_at
    inferred_now, dropped_now, lost_now = _counts(bench)
    phase.inferred = inferred_now - inferred
    phase.dropped = {reason: count - dropped[reason] for reason, count in dropped_now.items()}
    phase.lost = {fate: count - lost[fate] for fate, count in lost_now.items()}
    return phase


def _counts(bench: ClipBench) -> tuple[int, dict[str, int], dict[str, int]]:
    """Return frames inferred, frames dropped by reason but for the limit of `fps`, and clips lost by fate."""
    dropped, fates = bench.metrics("frames_dropped_total"), bench.metrics("clips_total")
    inferred = sum(bench.metrics("frames_inferred_total").values())
    return (
        inferred,
        {reason: count for reason, count in dropped.items() if reason != "fps"},
        {fate: count for fate, count in fates.items() if fate != "kept"},
    )


def _check(bench: ClipBench, phases: Sequence[Phase]) -> None:
    """Check every clip whose object came once all cameras were live, and note it in the phase of its end."""
    spans: dict[str, list[tuple[float, float]]] = {phase.name: [] for phase in phases}
    for name, ready in bench.ready.items():
        since, at = unix_time(ready["since"]), unix_time(ready["at"])
        phase = next((each for each in reversed(phases) if each.began_at <= at), None)
        if phase is None or unix_time(ready["object"]["since"]) < bench.steady_at:
            continue
        phase.clips += 1
        spans[phase.name].append((since, at))
        path = bench.file(name)
        if path is None:
            phase.deleted += name not in bench.withheld
            phase.faults += [f"{phase.name}: {name}: is there, but not served"] * (name in bench.withheld)
            continue
        checked = check_clip(path, ready, bench.ends.get(name), PROMISE)
        phase.played += not checked.faults
        phase.faults += [f"{phase.name}: {name}: {fault}" for fault in checked.faults]
        earliest, latest = phase.begin_s or (checked.begin_s, checked.begin_s)
        phase.begin_s = min(earliest, checked.begin_s), max(latest, checked.begin_s)
    for phase in phases:
        phase.at_once = _most_at_once(spans[phase.name])


def _most_at_once(spans: Sequence[tuple[float, float]]) -> int:
    edges = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    return max(accumulate(change for _, change in edges), default=0)
