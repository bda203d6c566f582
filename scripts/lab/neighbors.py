"""The programs around the daemon in benchmarks, as processes: cameras, broker, subscriber."""

from __future__ import annotations

import contextlib
import shutil
import socket
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import yaml

from framelane.measure.errors import BenchError
from framelane.measure.process import Child
from lab.delivery_record import Received
from lab.module import lab_child

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lab.subscriber import Protocol

NODE = "bench"
_START_TIMEOUT_S = 20.0
_LIVE_TIMEOUT_S = 90.0
_POLL_S = 0.1
_FIRST_FRAMES = 3
# Debian keeps daemons in sbin, which is not on every user's PATH.
_MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class Subscriber:
    """The subscriber processes: what the daemon's consumers see, window by window."""

    def __init__(self, children: Sequence[Child]) -> None:
        self.children = tuple(children)

    def open(self) -> None:
        """Start a window."""
        for child in self.children:
            child.ask("open")

    def close(self) -> Received:
        """Return what has arrived since `open`; the window continues."""
        return self._received("close")

    def take(self) -> Received:
        """Return what has arrived, and start the next window at the end of this one."""
        return self._received("take")

    def frames(self) -> dict[str, int]:
        """Return the number of results per stream since `open`."""
        counts: dict[str, int] = {}
        for child in self.children:
            counts |= orjson.loads(child.ask("frames"))
        return counts

    def wait_for_streams(self, count: int, daemon: Child, timeout_s: float = _LIVE_TIMEOUT_S) -> float:
        """Wait until some frames of `count` streams have arrived in this window; return the seconds it took.

        Raises:
            BenchError: they don't arrive in time, or the daemon has ended.
        """
        began_s = time.monotonic()
        while True:
            daemon.usage()
            frames = self.frames()
            waited_s = time.monotonic() - began_s
            if sum(number >= _FIRST_FRAMES for number in frames.values()) >= count:
                return waited_s
            if waited_s > timeout_s:
                raise BenchError(
                    f"after {timeout_s:g} s only {sorted(frames)} have results, not all {count} streams"
                )
            time.sleep(_POLL_S)

    def _received(self, how: str) -> Received:
        return Received.merged([Received.from_json(child.ask(how, 30.0)) for child in self.children])


@dataclass(frozen=True, slots=True)
class StartedBroker:
    """A listening broker.

    Attributes:
        child: its process.
        url: URL for clients with MQTT 5.
        url_v311: URL for clients with 3.1.1; the embedded broker has another port for them.
        subscribers: the cheapest protocol in which subscribers get everything.
    """

    child: Child
    url: str
    url_v311: str
    subscribers: Protocol


class Site:
    """A folder, a broker and a subscriber, on which daemons run: `with Site() as site:`.

    Args:
        broker: "mosquitto", "embedded", or "auto".
        subscribers: number of subscriber processes, each for its share of the streams; 0 for none.
        streams: most streams, if there are several subscriber processes.
        settings: more lines of mosquitto's configuration.
    """

    def __init__(
        self,
        broker: str = "auto",
        subscribers: int = 1,
        streams: int = 0,
        settings: Sequence[str] = (),
    ) -> None:
        self._broker_kind = broker
        self._settings = settings
        self._shares = topics_of(subscribers, streams)
        self._stack = ExitStack()

    def __enter__(self) -> Site:
        with self._stack as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="framelane-bench-")))
            started = start_broker(self.folder, self._broker_kind, stack, self._settings)
            self.broker, self.url, self.protocol = started.child, started.url, started.subscribers
            self.subscriber = Subscriber(
                [self._subscribe(number, topics, stack) for number, topics in enumerate(self._shares)]
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _subscribe(self, number: int, topics: Sequence[str], stack: ExitStack) -> Child:
        name, arguments = f"subscriber{number or ''}", [self.url, self.protocol, *topics]
        child = stack.enter_context(lab_child(name, self.folder, "subscriber", arguments))
        child.read_line(_START_TIMEOUT_S)
        return child

    def cameras(
        self, script: Path, clips: Path | Sequence[Path], count: int, name: str = "cameras", port: int = 0
    ) -> tuple[Child, list[str]]:
        """Start scripts/fake_cameras.py on one clip or several in turn; return it and the cameras' URLs.

        Raises:
            BenchError: it doesn't start.
        """
        child = self.begin_cameras(script, clips, count, name, port)
        return child, [child.read_line(_START_TIMEOUT_S) for _ in range(count)]

    def begin_cameras(
        self, script: Path, clips: Path | Sequence[Path], count: int, name: str, port: int
    ) -> Child:
        """Start scripts/fake_cameras.py without waiting: it prints one URL per line once it serves."""
        clips = [clips] if isinstance(clips, Path) else clips
        return self._stack.enter_context(camera_child(self.folder, script, clips, count, name, port))

    def daemon(self, model: Mapping[str, object], urls: Sequence[str], **defaults: object) -> Child:
        """Return `framelane run` on streams cam00, cam01, ... of these URLs; the caller starts and stops it.

        Args:
            model: the model's section.
            urls: URLs of the streams.
            defaults: options of all streams.
        """
        return self.daemon_on(self.configure(model, urls, {}, None, **defaults))

    def daemon_on(self, path: Path) -> Child:
        """Return `framelane run` on a configuration; the caller starts and stops it."""
        return Child("framelane", [sys.executable, "-m", "framelane", "run", str(path)], self.folder)

    def configure(
        self,
        model: Mapping[str, object],
        urls: Sequence[str],
        more: Mapping[str, object],
        each: Mapping[str, object] | None = None,
        **defaults: object,
    ) -> Path:
        """Write the configuration of such a daemon.

        Args:
            model: the model's section.
            urls: URLs of the streams.
            more: further sections, which replace these.
            each: options in each stream's own section, as lines and zones must be.
            defaults: options of all streams.
        """
        config = {
            "node": {"id": NODE, "stats_s": 5},
            "log": {"level": "warning"},
            "mqtt": {"url": self.url, "spool": {"folder": str(self.folder / "spool")}},
            "journal": {"folder": str(self.folder / "journal")},
            "models": {"model": dict(model)},
            "defaults": defaults,
            "streams": [
                {"id": stream_id(number), "url": url} | dict(each or {}) for number, url in enumerate(urls)
            ],
        } | dict(more)
        path = self.folder / "framelane.yaml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return path


def camera_child(
    folder: Path, script: Path, clips: Sequence[Path], count: int, name: str = "cameras", port: int = 0
) -> Child:
    """Return scripts/fake_cameras.py on clips in turn; the caller starts and stops it, and reads a URL per camera."""
    command = [sys.executable, str(script), "--cameras", str(count), "--port", str(port), "--print-urls"]
    for clip in clips:
        command += ["--clip", str(clip)]
    return Child(name, command, folder)


def stream_id(number: int) -> str:
    """Return the name of a stream by its index from 0."""
    return f"cam{number:02d}"


def topics_of(subscribers: int, streams: int) -> list[list[str]]:
    """Return the topics of each subscriber: all streams, or its share of `streams`."""
    base = f"framelane/{NODE}/streams"
    if subscribers == 1:
        return [[f"{base}/+/+"]]
    return [
        [f"{base}/{stream_id(number)}/+" for number in range(share, streams, subscribers)]
        for share in range(subscribers)
    ]


def start_broker(
    folder: Path, kind: str, stack: ExitStack, settings: Sequence[str] = (), port: int | None = None
) -> StartedBroker:
    """Start mosquitto if it is installed, otherwise the embedded broker.

    Args:
        folder: for its configuration and log.
        kind: "mosquitto", "embedded", or "auto".
        stack: stops it.
        settings: more lines of mosquitto's configuration.
        port: port of mosquitto; any free one by default.

    Raises:
        BenchError: it doesn't start.
    """
    if kind == "embedded" or (kind == "auto" and _MOSQUITTO is None):
        child = lab_child("broker", folder, "embedded_broker")
        stack.enter_context(child)
        url, url_v311 = (child.read_line(_START_TIMEOUT_S) for _ in range(2))
        return StartedBroker(child, url, url_v311, "5")
    port = port or free_port()
    child = stack.enter_context(mosquitto(folder, port, settings))
    wait_for_port(child, port)
    url = f"mqtt://127.0.0.1:{port}"
    return StartedBroker(child, url, url, "3.1.1")


def mosquitto(folder: Path, port: int, settings: Sequence[str]) -> Child:
    """Return mosquitto on loopback; the caller starts and stops it.

    Args:
        folder: for its configuration and log.
        port: its port.
        settings: further lines of its configuration.

    Raises:
        BenchError: mosquitto is not installed.
    """
    if _MOSQUITTO is None:
        raise BenchError("mosquitto is not installed: apt-get install mosquitto")
    config = folder / "mosquitto.conf"
    # As user mosquitto it could not read the private folder.
    lines = ["user root", f"listener {port} 127.0.0.1", "allow_anonymous true", "set_tcp_nodelay true"]
    config.write_text("\n".join([*lines, *settings, ""]), encoding="utf-8")
    return Child("broker", [_MOSQUITTO, "-c", str(config)], folder)


def wait_for_port(child: Child, port: int) -> None:
    """Wait until a process listens on a port.

    Raises:
        BenchError: it does not listen in time, or has ended.
    """
    deadline_s = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline_s:
        child.usage()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(_POLL_S)
    raise BenchError(f"{child.name} doesn't listen after {_START_TIMEOUT_S:g} s")


def free_port() -> int:
    """Return a free port of loopback."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
