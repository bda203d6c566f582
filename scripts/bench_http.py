"""Measure HTTP: answers on kept and new connections, and `/api/detect` against the model's own rate.

    python scripts/bench_http.py                                   # 5 rounds, about 1.5 minutes
    python scripts/bench_http.py --backend tensorrt --connections 32 --model yolov8s.onnx

A daemon without streams serves the model. Each round measures the model alone, as `framelane bench engine`
does, then `/healthz` on kept and on new connections, then `/api/detect` on kept connections. The client
shares the daemon's cores. Rates are compared within a round, because the machine may be doing other work.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import orjson
import yaml

from framelane.measure.errors import BenchError
from framelane.measure.figures import Percentiles, Spread
from framelane.measure.host import Host, describe_host
from framelane.measure.process import Child
from framelane.measure.report import Goal, Section, figures_section, goals_section, spread_cell
from lab.asking import Asked, Target, ask_kept, ask_reconnecting, flood
from lab.script import MODEL, SHARED, command_line, make_parser, run_script, say

if TYPE_CHECKING:
    from argparse import Namespace

PICTURES = SHARED / "images"
HOST = "127.0.0.1"
MOST_HEALTH_MS = 1.5
LEAST_SHARE = 0.9
# Long enough to build a TensorRT engine.
START_TIMEOUT_S = 1800.0


@dataclass(frozen=True, slots=True)
class Round:
    """One round: the model alone (images per second), /healthz, and images through /api/detect."""

    engine_images_s: float
    health_kept: Percentiles
    health_new: Percentiles
    detect: Asked

    @property
    def share(self) -> float:
        """Return the rate of /api/detect divided by the model's own."""
        return self.detect.rate / self.engine_images_s


@dataclass(frozen=True, slots=True)
class HttpReport:
    """All rounds with their summary and goals."""

    host: Host
    command: str
    model: str
    picture: str
    connections: int
    rounds: tuple[Round, ...]

    @property
    def summary(self) -> dict[str, Spread]:
        """Return the main figures over all rounds."""
        took = [each.detect.took_ms for each in self.rounds]
        return {
            "healthz_kept_p50_ms": Spread.of([each.health_kept.p50 for each in self.rounds]),
            "healthz_new_p50_ms": Spread.of([each.health_new.p50 for each in self.rounds]),
            "engine_images_s": Spread.of([each.engine_images_s for each in self.rounds]),
            "detect_images_s": Spread.of([each.detect.rate for each in self.rounds]),
            "detect_p50_ms": Spread.of([each.p50 for each in took if each is not None]),
            "detect_p95_ms": Spread.of([each.p95 for each in took if each is not None]),
            "detect_over_engine": Spread.of([each.share for each in self.rounds]),
        }

    @property
    def goals(self) -> tuple[Goal, ...]:
        """Return the goals: `/healthz` answers at once, and HTTP costs little beside the model."""
        found = self.summary
        return (
            Goal.at_most("/healthz, kept, p50", MOST_HEALTH_MS, found["healthz_kept_p50_ms"].median, " ms"),
            Goal.at_most("/healthz, new, p50", MOST_HEALTH_MS, found["healthz_new_p50_ms"].median, " ms"),
            Goal.at_least("/api/detect over the engine", LEAST_SHARE, found["detect_over_engine"].median),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return all figures for JSON."""
        summary = {name: asdict(spread) for name, spread in self.summary.items()}
        return {**asdict(self), "summary": summary, "goals": [asdict(goal) for goal in self.goals]}

    def sections(self) -> tuple[Section, ...]:
        """Return the tables of summary and goals."""
        head = (
            f"{self.model}, {self.connections} connections, image {self.picture}, {len(self.rounds)} rounds: "
            f"median (lowest to highest)\n{self.host}"
        )
        cells = {name: spread_cell(spread, 2) for name, spread in self.summary.items()}
        return figures_section(head, cells), goals_section(self.goals)


def parse_arguments() -> Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, 0)
    parser.add_argument("--model", type=Path, default=MODEL, help="ONNX file")
    parser.add_argument("--backend", choices=("onnxruntime", "tensorrt"), default="onnxruntime")
    parser.add_argument("--picture", type=Path, help="JPEG to send (default: the first shared one)")
    parser.add_argument("--connections", type=int, default=4, help="connections that send images at once")
    parser.add_argument("--health", type=int, default=300, help="requests to /healthz per kind and round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of images per round")
    return parser.parse_args()


def measure(arguments: Namespace) -> HttpReport:
    """Run all rounds."""
    host = describe_host()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="framelane-bench-")))
        picture = arguments.picture or first_picture(PICTURES, folder)
        port = free_port()
        config = folder / "framelane.yaml"
        config.write_text(yaml.safe_dump(config_of(arguments, folder, port)), encoding="utf-8")
        command = [sys.executable, "-m", "framelane", "run", str(config)]
        daemon = stack.enter_context(Child("daemon", command, folder))
        wait_until_ready(daemon, port)
        rounds = [run_round(arguments, port, picture, index) for index in range(arguments.rounds)]
    about = f"{picture.name}, {picture.stat().st_size / 1e3:.0f} kB"
    return HttpReport(host, command_line(), arguments.model.name, about, arguments.connections, tuple(rounds))


def config_of(arguments: Namespace, folder: Path, port: int) -> dict[str, Any]:
    """Return a daemon without streams."""
    engine = {"folder": str(folder / "engines")}
    return {
        "log": {"level": "warning"},
        "http": {"listen": f"{HOST}:{port}", "detect": {"in_flight": arguments.connections}},
        "models": {
            "model": {
                "path": str(arguments.model.resolve()),
                "labels": "auto",
                "backend": arguments.backend,
                "engine": engine,
            }
        },
        "streams": [],
    }


def run_round(arguments: Namespace, port: int, picture: Path, index: int) -> Round:
    """Measure the model alone, then the daemon."""
    engine_images_s = engine_rate(arguments)
    health = Target.get(HOST, port, "/healthz")
    kept, new = ask_kept(health, arguments.health), ask_reconnecting(health, arguments.health)
    if kept is None or new is None:
        raise BenchError("--health must be at least 1")
    target = Target.post(HOST, port, "/api/detect", "image/jpeg", picture.read_bytes())
    found = Round(engine_images_s, kept, new, flood(target, arguments.connections, arguments.seconds))
    say(
        f"round {index + 1}: engine {engine_images_s:.0f} images/s, /api/detect {found.detect.rate:.0f}, "
        f"/healthz {kept.p50:.2f} ms kept, {new.p50:.2f} ms new"
    )
    return found


def engine_rate(arguments: Namespace) -> float:
    """Return the highest rate that `framelane bench engine` finds, in images per second."""
    batches = "1" if arguments.backend == "onnxruntime" else "1,4,16"
    command = [sys.executable, "-m", "framelane", "bench", "engine", str(arguments.model), "--json"]
    options = ["--backend", arguments.backend, "--batches", batches, "--seconds", str(arguments.seconds / 2)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"`framelane bench engine` fails: {done.stderr.strip()}")
    return max(float(each["images_s"]) for each in orjson.loads(done.stdout)["variants"])


def wait_until_ready(daemon: Child, port: int) -> None:
    """Wait until the daemon's models are loaded, including an engine build; raise BenchError if it ends."""
    until_s = time.monotonic() + START_TIMEOUT_S
    target = Target.get(HOST, port, "/readyz")
    while time.monotonic() < until_s:
        daemon.usage()
        with suppress(OSError, BenchError):
            ask_reconnecting(target, 1)
            return
        time.sleep(0.2)
    raise BenchError(f"the daemon is not ready after {START_TIMEOUT_S:.0f} s")


def first_picture(pictures: Path, folder: Path) -> Path:
    """Return a shared photograph, or a drawn image if there is none."""
    found = sorted(pictures.rglob("*.jpg"))
    if found:
        return found[0]
    noise = np.random.default_rng(7).integers(0, 255, (48, 64, 3), np.uint8)
    drawn = folder / "drawn.jpg"
    cv2.imwrite(str(drawn), cv2.resize(noise, (640, 480), interpolation=cv2.INTER_CUBIC))
    return drawn


def free_port() -> int:
    """Return a free port of loopback."""
    with socket.create_server((HOST, 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(run_script(measure, parse_arguments(), lambda report: all(goal.met for goal in report.goals)))
