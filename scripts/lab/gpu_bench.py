"""Daemons on a site, one after another, each at one load, for the benchmark of a GPU's pipeline."""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from framelane.measure.errors import BenchError
from framelane.measure.process import Child
from lab.daemon_run import Window, measure_daemon, measure_window
from lab.gpu_report import COLUMNS, COSTS, FAIRNESS, TIMES, Step
from lab.neighbors import free_port, stream_id
from lab.relief import Relief, reload, watch_relief
from lab.rise import Load, Rise, readiness, watch_rise
from lab.script import FAKE_CAMERAS, say, stream_options
from lab.soak import SoakDiary
from lab.startup import StartUp, measure_startup

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence
    from pathlib import Path

    from framelane.measure.gpu_use import GpuRecorder
    from lab.gpu_report import Feed
    from lab.neighbors import Site
    from lab.soak import Soak

MODEL_OPTIONS = ("backend", "precision", "batch", "slots", "waiting", "linger_ms", "confidence")
_SOAK_WARMUP_S = 20.0
_SOAK_LOOK_S = 5.0
# Samples per window of arrivals.
_SOAK_LOOKS = 6
_CAMERAS_START_S = 60.0


class Bench:
    """Runs daemons on a site, one after another."""

    def __init__(self, arguments: Namespace, site: Site, feed: Feed, watch: GpuRecorder) -> None:
        self._arguments = arguments
        self._site = site
        self._feed = feed
        self._watch = watch
        self._media = site.folder / "media"

    def step(self, streams: int, settings: dict[str, Any]) -> Step:
        """Measure one load; if the daemon fails, the step has failed."""
        window, limit_ms = self._window(streams, settings), self._arguments.p95_ms
        wanted, live = window.rate, bool(self._arguments.rtsp)
        try:
            with ExitStack() as stack:
                cameras, urls = self.feed(streams, stack)
                daemon = self._daemon(self.configure(urls, settings))
                neighbours = [*cameras, self._site.broker]
                self._watch.take()
                run = measure_daemon(daemon, self._site.subscriber, neighbours, window)
            step = Step(streams, settings, wanted, run, self._watch.take(), limit_ms=limit_ms, live=live)
        except BenchError as error:
            step = Step(streams, settings, wanted, error=str(error), limit_ms=limit_ms, live=live)
        self._tell(step)
        return step

    def relieve(self, streams: int, left: int, settings: dict[str, Any]) -> Relief:
        """Measure one load, remove streams while the daemon runs, and see when the others are on time."""
        window, subscriber = self._window(streams, settings), self._site.subscriber
        with ExitStack() as stack:
            cameras, urls = self.feed(streams, stack)
            config = self.configure(urls, settings)
            subscriber.open()
            daemon = stack.enter_context(self._daemon(config))
            subscriber.wait_for_streams(streams, daemon)
            time.sleep(window.warmup_s)
            before = measure_window(daemon, subscriber, [*cameras, self._site.broker], window)
            say(f"  {before.fps:.0f} results/s of {streams} streams; {streams - left} of them are removed")
            subscriber.open()
            began_s = time.monotonic()
            reload(self.configure(urls[:left], settings))
            reload_s = time.monotonic() - began_s
            names = {stream_id(number) for number in range(left)}
            calm_s, spans = watch_relief(daemon, subscriber, self._load(left), began_s, names)
        return Relief(before, streams, left, reload_s, calm_s, spans)

    def rise(self, streams: int, settings: dict[str, Any]) -> list[Rise]:
        """Start a daemon and watch its streams come up; with live cameras, also after a common outage."""
        subscriber, load = self._site.subscriber, self._load(streams)
        with ExitStack() as stack:
            cameras, urls = self.feed(streams, stack)
            config = self.configure(urls, settings)
            environment, ready = stack.enter_context(readiness(self._site.folder))
            daemon = self._daemon(config, environment)
            began_s = time.monotonic()
            stack.enter_context(daemon)
            rises = [watch_rise("start", daemon, subscriber, load, began_s, ready)]
            self._tell_rise(rises[-1])
            if not cameras:
                return rises
            for camera in cameras:
                camera.stop()
            time.sleep(self._arguments.away)
            cameras = self._begin(
                streams, [_port_of(url) for url in _first_urls(urls, streams, len(cameras))]
            )
            for camera in cameras:
                stack.enter_context(camera).read_line(_CAMERAS_START_S)
            began_s = time.monotonic()
            rises.append(watch_rise("all return", daemon, subscriber, load, began_s, lambda: True))
            self._tell_rise(rises[-1])
        return rises

    def feed(self, streams: int, stack: ExitStack) -> tuple[list[Child], list[str]]:
        """Return the cameras' processes, if any, and the URL of each stream."""
        clips, servers = self._feed.clips, min(self._arguments.rtsp, streams)
        if not servers:
            return [], [str(clips[number % len(clips)]) for number in range(streams)]
        cameras = self._begin(streams, [free_port() for _ in range(servers)])
        urls = []
        for number, camera in enumerate(cameras):
            stack.enter_context(camera)
            urls += [camera.read_line(_CAMERAS_START_S) for _ in range(number, streams, servers)]
        return cameras, urls

    def _begin(self, streams: int, ports: Sequence[int]) -> list[Child]:
        """Start camera processes that share the streams, all at the same time."""
        return [
            self._site.begin_cameras(
                FAKE_CAMERAS,
                self._feed.clips,
                len(range(number, streams, len(ports))),
                f"cameras{number}",
                port,
            )
            for number, port in enumerate(ports)
        ]

    def _window(self, streams: int, settings: dict[str, Any]) -> Window:
        arguments = self._arguments
        rate = min(self._feed.fps, settings.get("fps") or self._feed.fps)
        return Window(
            streams,
            arguments.warmup,
            arguments.seconds,
            rate,
            self._watch.look,
            streams * rate * arguments.models,
            arguments.steady,
            arguments.warmup_most,
            arguments.span,
        )

    def _load(self, streams: int) -> Load:
        arguments = self._arguments
        return Load(streams, bool(arguments.rtsp), arguments.p95_ms, arguments.patience)

    def configure(self, urls: Sequence[str], settings: dict[str, Any]) -> Path:
        """Write the daemon's configuration for these settings."""
        arguments = self._arguments
        model: dict[str, object] = {"path": str(arguments.model.resolve())}
        model |= {name: settings[name] for name in MODEL_OPTIONS if settings.get(name) is not None}
        engine: dict[str, object] = {"min_batch": arguments.min_batch}
        if arguments.engine_folder:
            engine["folder"] = str(arguments.engine_folder.resolve())
        model["engine"] = engine
        names = [f"model{number}" for number in range(1, arguments.models + 1)]
        more: dict[str, object] = {"models": dict.fromkeys(names, model)}
        if settings.get("workers"):
            more["workers"] = settings["workers"]
        if arguments.gpus:
            more["gpus"] = arguments.gpus
        options: dict[str, object] = {"loop": True, "model": names, "decode": arguments.decode}
        if settings.get("fps"):
            options["fps"] = settings["fps"]
        own = stream_options(arguments)
        if own.get("snapshots") is not None or own.get("clips") is not None:
            more["media"] = {"folder": str(self._media), "min_free_bytes": "1MiB"}
        return self._site.configure(model, urls, more | {"defaults": options}, own)

    def soak(self, streams: int, settings: dict[str, Any]) -> Soak:
        """Run for minutes at one load and sample every five seconds."""
        diary, subscriber = SoakDiary(), self._site.subscriber
        with ExitStack() as stack:
            _cameras, urls = self.feed(streams, stack)
            subscriber.open()
            daemon = stack.enter_context(self._daemon(self.configure(urls, settings)))
            subscriber.wait_for_streams(streams, daemon)
            time.sleep(_SOAK_WARMUP_S)
            subscriber.open()
            self._watch.take()
            # If interrupted, the soak still reports its samples.
            with suppress(SystemExit, KeyboardInterrupt):
                self._watch_soak(diary, daemon)
            # A signal to the whole process group may have ended the subscribers.
            with suppress(BenchError):
                diary.book(subscriber.take())
        return diary.close(streams)

    def _watch_soak(self, diary: SoakDiary, daemon: Child) -> None:
        began_s = time.monotonic()
        while (at_s := time.monotonic() - began_s) < self._arguments.soak_minutes * 60:
            self._watch.look()
            diary.look(at_s, daemon.usage(), self._watch.take())
            time.sleep(_SOAK_LOOK_S)
            if diary.looks % _SOAK_LOOKS == 0:
                say(
                    f"  {at_s:.0f} s: {daemon.usage().rss_mb:.0f} MB, {diary.book(self._site.subscriber.take())}"
                )

    def start(self, streams: int, settings: dict[str, Any]) -> StartUp:
        """Start a daemon, measure its start, and stop it."""
        with ExitStack() as stack:
            _cameras, urls = self.feed(streams, stack)
            return measure_startup(self.configure(urls, settings), self._site.folder)

    def _daemon(self, config: Path, environment: dict[str, str] | None = None) -> Child:
        command = [sys.executable, "-m", "framelane", "run", str(config)]
        return Child("framelane", command, self._site.folder, environment)

    @staticmethod
    def _tell_rise(rise: Rise) -> None:
        say("  " + ", ".join(f"{name} {cell}" for name, cell in rise.cells().items()))

    def _tell(self, step: Step) -> None:
        cells = (*step.cells(), *step.costs(), *step.fairness(), *step.times())
        columns = zip((*COLUMNS, *COSTS, *FAIRNESS, *TIMES), cells, strict=True)
        say(
            f"{step.streams} streams, {step.settings}: "
            + ", ".join(f"{name} {cell}" for name, cell in columns)
        )
        self._tell_media()
        if step.error:
            say(f"  {step.error}")
        log = self._site.folder / "framelane.log"
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
        for line in lines[: self._arguments.log_lines]:
            say(f"    {line[:300]}")
        log.unlink(missing_ok=True)

    def _tell_media(self) -> None:
        """Say how many snapshots and clips a step has left, and delete them, as the next one counts its own."""
        if not self._media.exists():
            return
        names = [path.name for path in self._media.rglob("*") if not path.name.startswith(".")]
        crops = sum(name.endswith(".jpg") and name.count(".") == 1 for name in names)
        wholes, clips = (sum(name.endswith(end) for name in names) for end in (".whole.jpg", ".mp4"))
        say(f"  {crops} snapshots, {wholes} with the whole frame; {clips} clips")
        shutil.rmtree(self._media)


def _first_urls(urls: Sequence[str], streams: int, servers: int) -> list[str]:
    """Return the first URL of each camera process."""
    counts = [len(range(number, streams, servers)) for number in range(servers)]
    return [urls[sum(counts[:number])] for number in range(servers)]


def _port_of(url: str) -> int:
    return urlsplit(url).port or 0
