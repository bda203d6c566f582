"""The demo: the daemon as `framelane run` runs it, with embedded cameras, model and broker."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import socket
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import yaml
from rich.console import Console

from framelane.config.yaml.load import check_config
from framelane.control.changes import LiveConfig
from framelane.control.stream_edits import StreamEdits
from framelane.control.triggers import ConfigTriggers
from framelane.core.log import setup
from framelane.demo.broker import EmbeddedBroker
from framelane.demo.clips import ensure_clips
from framelane.demo.referee import Referee, read_street
from framelane.demo.rtsp import CameraSpec, RtspServer
from framelane.demo.subscribe import TOPIC
from framelane.demo.table import LiveTable
from framelane.demo.watcher import Watcher
from framelane.node.daemon import make_node
from framelane.node.service import Service

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from framelane.core.events import Direction
    from framelane.demo.referee import Street
    from framelane.node.node import Node

DIFFERENT_CLIPS = 4
PAGE_PORT = 8080
_HOST = "127.0.0.1"
_PHASE_S = 1.7
_PICTURE_COLUMNS = 124
_TOPICS = (TOPIC, "framelane/demo/streams/+/events", "framelane/demo/streams/+/zones/#")
_DIRECTIONS: tuple[Direction, ...] = ("left", "right")


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """The options from the command line.

    Attributes:
        streams: cameras to embed.
        seconds: how long to run; 0 until a signal.
        as_json: no table, but a summary at the end.
        port: the port of the page, if it is free.
        picture: file for the last table as SVG.
    """

    streams: int
    seconds: float
    as_json: bool
    port: int = PAGE_PORT
    picture: Path | None = None


def run_demo(options: DemoOptions) -> None:
    """Run the demo until Ctrl-C or for `options.seconds`.

    Raises:
        FramelaneError: a part can't start.
    """
    folder = _cache_folder()
    console = Console(stderr=options.as_json)
    with ExitStack() as stack:
        log_file = stack.enter_context((folder / "demo.log").open("w", encoding="utf-8"))
        setup(stream=log_file)
        broker = stack.enter_context(EmbeddedBroker())
        # Counters begin at 0 with each run, beside those of the streets.
        state = stack.enter_context(tempfile.TemporaryDirectory(prefix="framelane-demo-"))
        console.print("drawing the cameras' clips (once) ...", style="dim")
        clips = ensure_clips(folder, min(options.streams, DIFFERENT_CLIPS))
        cameras = _cameras(clips, options.streams)
        server = stack.enter_context(RtspServer(cameras))
        read = {clip: read_street(clip) for clip in clips}
        streets = {camera.path: read[camera.clip] for camera in cameras}
        config_file = folder / "demo.yaml"
        port = _free_port(options.port)
        text = _config_text(broker.url, server, streets, port, Path(state))
        config_file.write_text(text, encoding="utf-8")
        live = LiveConfig(config_file, os.environ, check_config(config_file, os.environ))
        node = make_node(live.config, threading.Event(), StreamEdits(live, None))
        live.attach(node)
        service = Service(live.config, node, changes=ConfigTriggers(live, None, os.environ))
        watcher = Watcher(broker.port, _TOPICS)
        watcher.start()
        stack.callback(watcher.stop)
        referee = Referee({name: server.camera(name) for name in streets}, streets, watcher)
        referee.start()
        stack.callback(referee.stop, 2.0)
        if not options.as_json:
            footer = _footer(port, broker.port, config_file, log_file.name)
            table = LiveTable(node, watcher, referee, footer, console)
            table.start()
            stack.callback(_put_away, table, options.picture)
        _run_for(service, options.seconds)
        if options.as_json:
            referee.stop(2.0)
            referee.look()
            summary = orjson.dumps(_summary(node, watcher, referee), option=orjson.OPT_INDENT_2)
            sys.stdout.write(f"{summary.decode()}\n")


def _cameras(clips: Sequence[Path], count: int) -> list[CameraSpec]:
    """Return cameras that share a few clips, each at its own moment."""
    return [
        CameraSpec(_name(number), clips[number % len(clips)], phase_s=number // len(clips) * _PHASE_S)
        for number in range(count)
    ]


def _name(number: int) -> str:
    return f"cam{number:02d}"


def _run_for(service: Service, seconds: float) -> None:
    if seconds:
        timer = threading.Timer(seconds, service.stopping.set)
        timer.daemon = True
        timer.start()
    service.run()


def _put_away(table: LiveTable, picture: Path | None) -> None:
    table.stop(2.0)
    if picture is not None:
        canvas = Console(record=True, width=_PICTURE_COLUMNS, file=io.StringIO())
        canvas.print(table.last)
        # Without fonts, which rich would have the reader's browser fetch from a third-party server.
        drawn = re.sub(r"@font-face \{.*?\}", "", canvas.export_svg(title="framelane demo"), flags=re.DOTALL)
        picture.write_text(drawn, encoding="utf-8")


def _cache_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(cache) / "framelane" / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _free_port(wanted: int) -> int:
    """Return this port, or another that is free."""
    for port in (wanted, 0):
        with contextlib.suppress(OSError), socket.create_server((_HOST, port)) as listener:
            found: int = listener.getsockname()[1]
            return found
    return wanted


def _config_text(
    broker_url: str, server: RtspServer, streets: Mapping[str, Street], port: int, state: Path
) -> str:
    """Return the YAML that the daemon runs. It is kept, so that a user can read it and run it again."""
    config = {
        "node": {"id": "demo", "shutdown_s": 3},
        "mqtt": {"url": broker_url, "spool": {"enabled": False}},
        "http": {"listen": f"{_HOST}:{port}"},
        "journal": {"folder": str(state / "journal")},
        "media": {"folder": str(state / "media"), "max_bytes": "64MiB", "min_free_bytes": "64MiB"},
        "models": {"street": {"path": "demo", "confidence": 0.4}},
        "defaults": {"track": True, "snapshots": {"longest": 640}},
        "streams": [
            {"id": name, "url": server.url(name), **street.rules} for name, street in streets.items()
        ],
    }
    return yaml.safe_dump(config, sort_keys=False, default_flow_style=None)


def subscribe_command(port: int) -> str:
    """Return a command that shows messages and needs nothing that is not installed here."""
    return shlex.join([sys.executable, "-m", "framelane.demo.subscribe", str(port)])


def _footer(page_port: int, port: int, config_file: Path, log_file: str) -> str:
    return (
        f"page:       http://{_HOST}:{page_port}/\n"
        f"subscribe:  {subscribe_command(port)}\n"
        f"config:     {config_file}\n"
        f"log:        {log_file}\n"
        "stop:       Ctrl-C"
    )


def _summary(node: Node, watcher: Watcher, referee: Referee) -> dict[str, Any]:
    """Return the summary of the whole run: the daemon's counts, what a subscriber received, and what is true."""
    counts = node.pipeline.meters.snapshot()
    streams = {}
    for state in node.board.streams():
        stream = counts.streams[state.stream]
        watched = watcher.of(state.stream)
        streams[state.stream] = {
            "state": state.state,
            "decoded": stream.decoded,
            "inferred": stream.inferred,
            "published": stream.published,
            "dropped": dict(stream.dropped),
            "messages_received": watched.messages,
            "messages_missing": watched.missing,
            "objects": dict(watched.labels),
            "line": {side: _crossed(watcher, referee, state.stream, side) for side in _DIRECTIONS},
            "last": watched.last,
        }
    return {"run": node.run, "finished_at": time.time(), "streams": streams}


def _crossed(watcher: Watcher, referee: Referee, stream: str, side: Direction) -> dict[str, int]:
    true = referee.of(stream).crossed(side)
    return {"counted": watcher.of(stream).crossed(side), "true": true.sure, "doubtful": true.doubtful}
