"""Check that faults of many kinds at once cost no results, streams or memory: random faults around a daemon.

    python scripts/soak_chaos.py --minutes 20                   # 16 cameras, one process
    python scripts/soak_chaos.py --minutes 10 --workers 2       # worker processes are killed too
    python scripts/soak_chaos.py --seed 7 --minutes 20          # repeat the faults of an earlier run

Runs rounds of a storm and a calm. In a storm cameras (one process each) are killed or stopped, the broker is
killed, stopped or restarted, and workers are killed, at random and overlapping. In the calm everything
returns; at its end the daemon's memory, threads and descriptors must be those at the end of the first calm.
Load is low on purpose.

What is checked, and how:

- No result is lost. The daemon also writes everything that it publishes as JSON lines; a subscriber must get
  every number of every run. Duplicates are allowed, as in QoS 1.
- The broker is not tested. It is a mosquitto with persistence. Its subscriber has a session that never
  expires, is never killed, and SIGKILL hits the broker only while that subscriber has received everything:
  what a broker has acknowledged, but neither delivered nor saved, is lost with it, whatever its clients do.
  Without persistence a broker restart loses the subscriber's session, and everything until it has subscribed
  again.
- A killed worker loses what is not yet on disk: results of its last `mqtt.spool.sync_ms`. They are counted
  separately, and each must have been published within that time before the kill.
- A stream is live again within 5 s of the moment at which the daemon could retry: when its camera serves
  again, or when the current wait (`backoff`) is over. Both are read from the daemon's own states and log.
- Memory, threads and descriptors of the daemon end where they began.
- Nothing hangs: the daemon feeds a service manager's watchdog, which it does while threads and frames make
  progress.
"""

from __future__ import annotations

import random
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import yaml

from framelane.demo.clips import ensure_clips
from framelane.measure.errors import BenchError
from framelane.measure.host import describe_host
from framelane.measure.process import Child
from lab.chaos.broker import SteadfastBroker
from lab.chaos.consumer import Consumer
from lab.chaos.holdings import Holdings
from lab.chaos.plan import BROKER, Weather, make_plan
from lab.chaos.pulse import Pulse
from lab.chaos.recovery import Trouble, recoveries
from lab.chaos.report import ChaosReport, Delivery, Faults, Life
from lab.chaos.results import account
from lab.chaos.storm import Storm
from lab.chaos.victim import Victim
from lab.chaos.witness import hear
from lab.neighbors import free_port, stream_id
from lab.script import FAKE_CAMERAS, command_line, run_script, say

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence

    from lab.chaos.plan import Kind
    from lab.chaos.recovery import Recovery
    from lab.chaos.storm import Diary
    from lab.chaos.witness import Testimony

NODE = "soak"
CLIPS, CLIP_FPS = 4, 10.0
# Inferred frames per second and stream: 16 streams cost a third of a core with the demo's model.
FPS = 2
SYNC_MS = 1000
LIVE_S = 90.0
START_S = 30.0
DRAIN_S = 30.0
LOOK_S = 5.0
WATCHDOG_S = 30.0
KIND_NAMES: dict[Kind, str] = {"kill": "killed", "hang": "hung", "stop": "restarted"}


@dataclass(frozen=True)
class Scene:
    """All running processes of the soak."""

    folder: Path
    cameras: Mapping[str, Victim]
    broker: SteadfastBroker
    consumer: Consumer
    daemon: Child
    pulse: Pulse

    @property
    def victims(self) -> dict[str, Victim]:
        """Return the cameras and the broker, by the plan's names."""
        return {**self.cameras, BROKER: self.broker}


def parse_arguments() -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, help="seed of the faults (default: random)")
    parser.add_argument("--streams", type=int, default=16, help="cameras")
    parser.add_argument("--workers", type=int, default=1, help="number of the daemon's worker processes")
    parser.add_argument("--storm", type=float, default=75.0, help="seconds of faults per round")
    parser.add_argument(
        "--calm", type=float, default=25.0, help="seconds without faults per round; enough to recover"
    )
    parser.add_argument("--clip", type=Path, help="clip of all cameras (default: rendered streets)")
    parser.add_argument("--model", type=Path, help="model (default: the demo's)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser.parse_args()


def measure(arguments: Namespace) -> ChaosReport:
    """Start everything, run all rounds, and judge the results."""
    host = describe_host()
    seed = random.SystemRandom().getrandbits(32) if arguments.seed is None else arguments.seed
    weather = Weather.of(arguments.minutes, arguments.storm, arguments.calm)
    cameras = [stream_id(number) for number in range(arguments.streams)]
    workers = [f"w{number}" for number in range(arguments.workers)] if arguments.workers > 1 else []
    plan = make_plan(random.Random(seed), weather, cameras, workers)  # noqa: S311 - to be had again, no secret
    say(f"seed {seed}: {len(plan)} faults in {weather.rounds} rounds")
    with ExitStack() as stack:
        scene = set_scene(arguments, cameras, stack)
        began_s = time.monotonic()
        storm = stack.enter_context(Storm(plan, scene.victims, scene.daemon.pid, scene.consumer))
        holdings = weather_it(storm, scene, weather)
        seconds = time.monotonic() - began_s
        scene.pulse.stop()
        exit_code = scene.daemon.stop(DRAIN_S)
        if not scene.consumer.in_step(DRAIN_S):
            raise BenchError(f"the consumer has not received everything after {DRAIN_S:g} s")
        seen, told, forgotten = (
            scene.consumer.roll.seen(),
            scene.consumer.roll.told(),
            scene.consumer.forgotten,
        )
        testimony = hear(scene.folder / "results.jsonl", scene.folder / "framelane.log")
    diary = storm.diary
    kills = {
        stream: [each.began for each in diary.outages if each.target == worker]
        for stream, worker in worker_of(cameras, workers).items()
    }
    return ChaosReport(
        host=host,
        command=command_line(),
        streams=arguments.streams,
        workers=arguments.workers,
        faults=Faults(
            seed=seed,
            minutes=seconds / 60,
            cameras=counts(diary, cameras),
            cameras_away_s=diary.seconds(cameras),
            broker=counts(diary, [BROKER]),
            broker_away_s=diary.seconds([BROKER]),
            workers=diary.count(workers, "kill"),
            spared=dict(diary.spared),
        ),
        delivery=Delivery(account(testimony.published, seen, kills), told, forgotten, SYNC_MS / 1e3),
        recoveries=tuple(judge(cameras, workers, diary, testimony)),
        holdings=holdings.all(),
        life=Life(scene.pulse.feeds, scene.pulse.longest_s, WATCHDOG_S, exit_code, testimony.complaints),
    )


def set_scene(arguments: Namespace, cameras: Sequence[str], stack: ExitStack) -> Scene:
    """Start everything; return once every stream has delivered and the broker has saved its sessions."""
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="framelane-soak-")))
    say("drawing clips ..." if arguments.clip is None else "starting ...")
    clips = [arguments.clip] if arguments.clip else ensure_clips(folder, CLIPS, fps=CLIP_FPS)
    broker = SteadfastBroker(folder)
    stack.callback(broker.stop)
    broker.start()
    broker.wait()
    consumer = stack.enter_context(Consumer(broker.url, f"framelane/{NODE}/streams/+/detections"))
    victims, urls = start_cameras(cameras, clips, folder, stack)
    pulse = Pulse(folder / "notify", WATCHDOG_S)
    pulse.start()
    stack.callback(pulse.stop)
    path = folder / "framelane.yaml"
    path.write_text(yaml.safe_dump(config(arguments, folder, broker.url, urls)), encoding="utf-8")
    command = [sys.executable, "-m", "framelane", "run", str(path)]
    daemon = stack.enter_context(Child("framelane", command, folder, pulse.environment))
    wait_for_streams(consumer, len(cameras), daemon)
    broker.wait_saved()
    return Scene(folder, victims, broker, consumer, daemon, pulse)


def config(arguments: Namespace, folder: Path, broker: str, urls: Mapping[str, str]) -> dict[str, Any]:
    """Return the daemon's configuration."""
    model = arguments.model or Path(str(files("framelane.demo") / "assets" / "framelane-demo.onnx"))
    return {
        "node": {"id": NODE},
        "log": {"level": "warning", "format": "json"},
        "workers": arguments.workers,
        "mqtt": {"url": broker, "spool": {"folder": str(folder / "spool"), "sync_ms": SYNC_MS}},
        "jsonl": {"path": str(folder / "results.jsonl"), "kinds": ["detections", "state"]},
        "models": {"model": {"path": str(model.resolve())}},
        "defaults": {"fps": FPS, "backoff": {"first_s": 1, "most_s": 8}},
        "streams": [{"id": stream, "url": url} for stream, url in urls.items()],
    }


def start_cameras(
    cameras: Sequence[str], clips: Sequence[Path], folder: Path, stack: ExitStack
) -> tuple[dict[str, Victim], dict[str, str]]:
    """Start one process per camera, all at once; return them and their URLs."""
    victims, urls = {}, {}
    for number, stream in enumerate(cameras):
        port = free_port()
        command = [sys.executable, str(FAKE_CAMERAS), "--clip", str(clips[number % len(clips)])]
        command += ["--port", str(port), "--print-urls"]
        victims[stream] = Victim(partial(Child, stream, command, folder), serving)
        urls[stream] = f"rtsp://127.0.0.1:{port}/{stream_id(0)}"
        stack.callback(victims[stream].stop)
        victims[stream].start()
    for victim in victims.values():
        victim.wait()
    return victims, urls


def serving(camera: Child) -> None:
    """Wait until a camera serves: it then prints its URL."""
    camera.read_line(START_S)


def wait_for_streams(consumer: Consumer, count: int, daemon: Child) -> None:
    """Wait until results of that many streams have arrived."""
    deadline_s = time.monotonic() + LIVE_S
    while (there := len({stream for _, stream in consumer.roll.seen()})) < count:
        daemon.usage()
        if time.monotonic() > deadline_s:
            raise BenchError(f"after {LIVE_S:g} s results arrived from {there} of {count} streams")
        time.sleep(0.2)


def weather_it(storm: Storm, scene: Scene, weather: Weather) -> Holdings:
    """Run all rounds; sample the daemon's memory, threads and descriptors at the end of each calm."""
    holdings = Holdings(scene.daemon.pid)
    for number in range(1, weather.rounds + 1):
        storm.run_to(number * weather.round_s, scene.daemon.usage, LOOK_S)
        holdings.look(number * weather.round_s)
        usage, told = scene.daemon.usage(), scene.consumer.roll.told()
        say(
            f"round {number} of {weather.rounds}: {len(storm.diary.outages)} faults, {told.results} results "
            f"({told.replayed} replayed, {told.missing} missing), {usage.rss_mb:.0f} MB, {usage.threads} threads"
        )
    return holdings


def judge(
    cameras: Sequence[str], workers: Sequence[str], diary: Diary, testimony: Testimony
) -> list[Recovery]:
    """Return how soon each stream recovered, for each fault."""
    judged = []
    of_worker = worker_of(cameras, workers)
    for stream in cameras:
        troubles = [
            Trouble(each.began, each.ended, hidden=each.kind == "hang")
            for each in diary.outages
            if each.target == stream
        ]
        waits = testimony.worker_waits.get(of_worker[stream], [])
        for kill in [each for each in diary.outages if each.target == of_worker[stream]]:
            over = next((wait.until for wait in waits if wait.began >= kill.began), kill.ended)
            troubles.append(Trouble(kill.began, over))
        judged += recoveries(
            troubles, testimony.stream_waits.get(stream, []), testimony.states.get(stream, [])
        )
    return judged


def worker_of(cameras: Sequence[str], workers: Sequence[str]) -> dict[str, str]:
    """Return the worker of each stream: distributed in the file's order; none with one process."""
    return {
        stream: workers[number % len(workers)] if workers else "" for number, stream in enumerate(cameras)
    }


def counts(diary: Diary, targets: Sequence[str]) -> dict[str, int]:
    """Return the number of faults of these targets, by kind."""
    return {name: diary.count(targets, kind) for kind, name in KIND_NAMES.items()}


if __name__ == "__main__":
    sys.exit(run_script(measure, parse_arguments(), lambda report: report.passed))
