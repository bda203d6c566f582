"""The demo: the daemon as `framelane run` runs it, between embedded cameras, model and broker."""

from __future__ import annotations

import io
import os
import re
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
import yaml
from rich.console import Console

from framelane.app import App
from framelane.config.load import load_config
from framelane.core.log import setup
from framelane.demo.broker import EmbeddedBroker
from framelane.demo.clips import ensure_clips
from framelane.demo.rtsp import CameraSpec, RtspServer
from framelane.demo.table import LiveTable
from framelane.demo.watcher import Watcher
from framelane.service import Service

DIFFERENT_CLIPS = 4
_PHASE_S = 1.7
_PICTURE_COLUMNS = 116


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line asks for.

    Attributes:
        streams: cameras to embed.
        seconds: how long to run; 0 until a signal.
        as_json: no table, but a summary at the end.
        picture: file to which the last table goes as SVG.
    """

    streams: int
    seconds: float
    as_json: bool
    picture: Path | None = None


def run_demo(options: DemoOptions) -> None:
    """Show the daemon at work until Ctrl-C or for `options.seconds`.

    Raises:
        FramelaneError: a part can't start.
    """
    folder = _cache_folder()
    console = Console(stderr=options.as_json)
    with ExitStack() as stack:
        log_file = stack.enter_context((folder / "demo.log").open("w", encoding="utf-8"))
        setup(stream=log_file)
        broker = stack.enter_context(EmbeddedBroker())
        console.print("drawing the cameras' clips (once) ...", style="dim")
        server = stack.enter_context(RtspServer(_cameras(folder, options.streams)))
        config_file = folder / "demo.yaml"
        config_file.write_text(_config_text(broker.url, server, options.streams), encoding="utf-8")
        config = load_config(config_file, os.environ)
        app = App(config)
        service = Service(config, app)
        watcher = Watcher(broker.port, "framelane/demo/streams/+/detections")
        watcher.start()
        stack.callback(watcher.stop)
        if not options.as_json:
            table = LiveTable(app, watcher, _footer(broker.port, config_file, log_file.name), console)
            table.start()
            stack.callback(_put_away, table, options.picture)
        _run_for(service, options.seconds)
        if options.as_json:
            summary = orjson.dumps(_summary(app, watcher), option=orjson.OPT_INDENT_2)
            sys.stdout.write(f"{summary.decode()}\n")


def _cameras(folder: Path, count: int) -> list[CameraSpec]:
    """Cameras that share a few clips, each at another moment of its own."""
    clips = ensure_clips(folder, min(count, DIFFERENT_CLIPS))
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
        # Without the fonts that rich would have the reader's browser fetch from somebody's server.
        drawn = re.sub(r"@font-face \{.*?\}", "", canvas.export_svg(title="framelane demo"), flags=re.DOTALL)
        picture.write_text(drawn, encoding="utf-8")


def _cache_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(cache) / "framelane" / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _config_text(broker_url: str, server: RtspServer, count: int) -> str:
    """The YAML that the daemon runs; kept, so that a user can read it and run it again."""
    model = files("framelane.demo") / "assets" / "framelane-demo.onnx"
    config = {
        "node": {"id": "demo", "shutdown_s": 3},
        "mqtt": {"url": broker_url, "spool": {"enabled": False}},
        "models": {"street": {"path": str(model), "confidence": 0.4}},
        "streams": [{"id": name, "url": server.url(name)} for name in map(_name, range(count))],
    }
    return yaml.safe_dump(config, sort_keys=False)


def _footer(port: int, config_file: Path, log_file: str) -> str:
    return (
        f"subscribe:  mosquitto_sub -h 127.0.0.1 -p {port} -V 5 -v -t 'framelane/demo/streams/+/detections'\n"
        f"config:     {config_file}\n"
        f"log:        {log_file}\n"
        "stop:       Ctrl-C"
    )


def _summary(app: App, watcher: Watcher) -> dict[str, Any]:
    """What the whole run came to: counts by the daemon, and what a subscriber received."""
    counts = app.meters.snapshot()
    streams = {}
    for state in app.board.streams():
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
            "last": watched.last,
        }
    return {"run": app.run, "finished_at": time.time(), "streams": streams}
