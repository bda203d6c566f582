"""The daemon's real neighbours in benchmarks, each a process whose CPU can be told: cameras, broker, subscriber."""

from __future__ import annotations

import contextlib
import shutil
import socket
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import yaml

from framelane.bench.errors import BenchError
from framelane.bench.ledger import Received
from framelane.bench.process import Child

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NODE = "bench"
_START_TIMEOUT_S = 20.0
_LIVE_TIMEOUT_S = 90.0
_POLL_S = 0.1
_FIRST_FRAMES = 3
# Debian keeps daemons in sbin, which is not on every user's PATH.
_MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class Subscriber:
    """What the daemon's consumers see, window by window."""

    def __init__(self, children: Sequence[Child]) -> None:
        self.children = tuple(children)

    def open(self) -> None:
        """Begin a window."""
        for child in self.children:
            child.ask("open")

    def close(self) -> Received:
        """What has come since `open`; the window goes on."""
        return self._received("close")

    def take(self) -> Received:
        """The same, and begin the next window where this one ends."""
        return self._received("take")

    def frames(self) -> dict[str, int]:
        """How many results of each stream have come since `open`."""
        counts: dict[str, int] = {}
        for child in self.children:
            counts |= orjson.loads(child.ask("frames"))
        return counts

    def wait_for_streams(self, count: int, daemon: Child, timeout_s: float = _LIVE_TIMEOUT_S) -> float:
        """Wait until some frames of that many streams have come in this window; returns the seconds it took.

        Raises:
            BenchError: they don't come in time, or the daemon has ended.
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
                    f"after {timeout_s:g} s results come of {sorted(frames)} alone, not of {count} streams"
                )
            time.sleep(_POLL_S)

    def _received(self, how: str) -> Received:
        return Received.merged([Received.from_json(child.ask(how, 30.0)) for child in self.children])


class Site:
    """A folder, a broker and a subscriber, and daemons that come and go: `with Site() as site:`.

    Args:
        broker: "mosquitto", "embedded", or "auto".
        subscribers: processes that the subscriber is, each for its share of the streams; 0 for none.
        streams: how many there may be where the subscriber is several processes.
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
            self.broker, self.url = start_broker(self.folder, self._broker_kind, stack, self._settings)
            self.subscriber = Subscriber(
                [self._subscribe(number, topics, stack) for number, topics in enumerate(self._shares)]
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _subscribe(self, number: int, topics: Sequence[str], stack: ExitStack) -> Child:
        command = [sys.executable, "-m", "framelane.bench.subscriber", self.url, *topics]
        child = stack.enter_context(Child(f"subscriber{number or ''}", command, self.folder))
        child.read_line(_START_TIMEOUT_S)
        return child

    def cameras(
        self, script: Path, clips: Path | Sequence[Path], count: int, name: str = "cameras", port: int = 0
    ) -> tuple[Child, list[str]]:
        """Start scripts/fake_cameras.py on a clip, or some in turn; returns it and the cameras' URLs.

        Raises:
            BenchError: it doesn't start.
        """
        child = self.begin_cameras(script, clips, count, name, port)
        return child, [child.read_line(_START_TIMEOUT_S) for _ in range(count)]

    def begin_cameras(
        self, script: Path, clips: Path | Sequence[Path], count: int, name: str, port: int
    ) -> Child:
        """Start the same and don't wait: it prints a URL a line once it serves."""
        clips = [clips] if isinstance(clips, Path) else clips
        command = [sys.executable, str(script), "--cameras", str(count)]
        for clip in clips:
            command += ["--clip", str(clip)]
        child = Child(name, [*command, "--port", str(port), "--print-urls"], self.folder)
        return self._stack.enter_context(child)

    def daemon(self, model: Mapping[str, object], urls: Sequence[str], **defaults: object) -> Child:
        """`framelane run` on streams cam00, cam01, ... of these URLs; the caller starts and stops it.

        Args:
            model: the model's section.
            urls: of the streams.
            defaults: options of all streams.
        """
        path = self.configure(model, urls, {}, **defaults)
        return Child("framelane", [sys.executable, "-m", "framelane", "run", str(path)], self.folder)

    def configure(
        self, model: Mapping[str, object], urls: Sequence[str], more: Mapping[str, object], **defaults: object
    ) -> Path:
        """Write such a daemon's configuration.

        Args:
            model: the model's section.
            urls: of the streams.
            more: further sections, and others in place of these.
            defaults: options of all streams.
        """
        config = {
            "node": {"id": NODE, "stats_s": 5},
            "log": {"level": "warning"},
            "mqtt": {"url": self.url, "spool": {"folder": str(self.folder / "spool")}},
            "models": {"model": dict(model)},
            "defaults": defaults,
            "streams": [{"id": stream_id(number), "url": url} for number, url in enumerate(urls)],
        } | dict(more)
        path = self.folder / "framelane.yaml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return path


def stream_id(number: int) -> str:
    """The name of a stream, from 0."""
    return f"cam{number:02d}"


def topics_of(subscribers: int, streams: int) -> list[list[str]]:
    """What each subscriber subscribes to: all streams, or its share of so many."""
    base = f"framelane/{NODE}/streams"
    if subscribers == 1:
        return [[f"{base}/+/+"]]
    return [
        [f"{base}/{stream_id(number)}/+" for number in range(share, streams, subscribers)]
        for share in range(subscribers)
    ]


def start_broker(
    folder: Path, kind: str, stack: ExitStack, settings: Sequence[str] = (), port: int | None = None
) -> tuple[Child, str]:
    """Start mosquitto where there is one, or the embedded broker; returns it and its URL.

    Args:
        folder: for its configuration and log.
        kind: "mosquitto", "embedded", or "auto".
        stack: what will stop it.
        settings: more lines of mosquitto's configuration.
        port: where mosquitto listens; any free one by default.

    Raises:
        BenchError: it doesn't start.
    """
    if kind == "embedded" or (kind == "auto" and _MOSQUITTO is None):
        child = Child("broker", [sys.executable, "-m", "framelane.bench.embedded_broker"], folder)
        stack.enter_context(child)
        return child, child.read_line(_START_TIMEOUT_S)
    port = port or free_port()
    child = stack.enter_context(mosquitto(folder, port, settings))
    wait_for_port(child, port)
    return child, f"mqtt://127.0.0.1:{port}"


def mosquitto(folder: Path, port: int, settings: Sequence[str]) -> Child:
    """Mosquitto on loopback; the caller starts and stops it.

    Args:
        folder: for its configuration and log.
        port: where it listens.
        settings: further lines of its configuration.

    Raises:
        BenchError: it is not installed.
    """
    if _MOSQUITTO is None:
        raise BenchError("mosquitto is not installed: apt-get install mosquitto")
    config = folder / "mosquitto.conf"
    # Dropping to the user mosquitto would lose the private folder.
    lines = ["user root", f"listener {port} 127.0.0.1", "allow_anonymous true", "set_tcp_nodelay true"]
    config.write_text("\n".join([*lines, *settings, ""]), encoding="utf-8")
    return Child("broker", [_MOSQUITTO, "-c", str(config)], folder)


def wait_for_port(child: Child, port: int) -> None:
    """Return when it listens.

    Raises:
        BenchError: it does not, or has ended.
    """
    deadline_s = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline_s:
        child.usage()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(_POLL_S)
    raise BenchError(f"{child.name} doesn't listen after {_START_TIMEOUT_S:g} s")


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
