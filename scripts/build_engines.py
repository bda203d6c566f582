"""Build the engines that a GPU host's figures and tests need, one after another or all at once.

    python scripts/build_engines.py --folder engines --model yolov8s.onnx --accuracy-model yolox_nano.onnx
    python scripts/build_engines.py ... --calibration pictures --test-folder test-engines --parallel
    python scripts/build_engines.py ... --build-options '--tactic-source EDGE_MASK_CONVOLUTIONS --level 2'

Builds FP16 of the speed model; FP16, and with calibration images INT8, of the accuracy model; FP16 of the
demo's model for the GPU tests. Existing engines are not built again. A second call waits for the first, so
this may run in the background. Parallel builds disturb each other's kernel timing: use --parallel only if
time is short. The last two options above are for a TensorRT without cuBLAS and cuDNN.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "daemon/framelane/demo/assets/framelane-demo.onnx"
POLL_S = 0.5
LAST_S = 10.0
ORDER = (".engine", "", ".json")
"""Suffixes in the order of moving. The sidecar is last, because an engine without one is ignored."""


@dataclass(frozen=True, slots=True)
class Build:
    """One engine: name, folder, and arguments of `framelane engine build`."""

    name: str
    folder: Path
    arguments: tuple[str, ...]

    def command(self, folder: Path, options: Sequence[str]) -> list[str]:
        """Return the command that builds it into a folder."""
        command = [sys.executable, "-m", "framelane", "engine", "build", *self.arguments]
        return [*command, "--folder", str(folder), *options]


def builds(given: Namespace) -> Iterator[Build]:
    """Yield all requested builds."""
    if given.model:
        yield Build("model-fp16", given.folder, (str(given.model), "--precision", "fp16"))
    if given.accuracy_model:
        arguments = (str(given.accuracy_model), "--precision")
        yield Build("accuracy-fp16", given.folder, (*arguments, "fp16"))
        if given.calibration:
            pictures = ("--calibration-images", str(given.calibration))
            yield Build("accuracy-int8", given.folder, (*arguments, "int8", *pictures))
    if given.test_folder:
        options = ("--precision", "fp16", "--batch", "1:4:4")
        yield Build("demo-fp16", given.test_folder, (str(DEMO), *options))


class Running:
    """A running build with its own folder and log."""

    def __init__(self, build: Build, options: Sequence[str]) -> None:
        self.build = build
        self.own = build.folder / f".{build.name}"
        seed(build.folder, self.own)
        paths = [str(ROOT / "daemon"), *filter(None, [os.environ.get("PYTHONPATH")])]
        with (build.folder / f"{build.name}.log").open("wb") as log:
            self._process = subprocess.Popen(
                build.command(self.own, options),
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._began_s = time.monotonic()

    @property
    def alive(self) -> bool:
        """Return whether the build is still running."""
        return self._process.poll() is None

    def finish(self) -> bool:
        """Stop the build if it runs and keep its files; return True if there is an engine."""
        late = self.alive
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(LAST_S)
        code = self._process.returncode
        if code == 0:
            bring(self.own, self.build.folder)
        shutil.rmtree(self.own, ignore_errors=True)
        how = "out of time" if late else f"exit code {code}"
        log = self.build.folder / f"{self.build.name}.log"
        said = log.read_text(errors="replace").strip().splitlines()[-1:] or [""]
        print(f"{self.build.name}: {how}, {time.monotonic() - self._began_s:.0f} s: {said[0]}", flush=True)
        return code == 0


def seed(folder: Path, own: Path) -> None:
    """Make a folder for one build with copies of the existing engines and timing caches."""
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir(parents=True)
    for file in files_of(folder):
        shutil.copy2(file, own)


def bring(own: Path, folder: Path) -> None:
    """Move new files from a build's folder to their place, and timing caches if they grew."""
    for suffix in ORDER:
        for file in files_of(own):
            kind, target = file.suffix if file.suffix in ORDER else "", folder / file.name
            learnt = not kind and target.exists() and file.stat().st_size > target.stat().st_size
            if kind == suffix and (learnt or not target.exists()):
                file.replace(target)


def files_of(folder: Path) -> list[Path]:
    """Return a build's lasting files: engines, sidecars, timing caches; no locks, no logs."""
    left_out = (".lock", ".log")
    return [each for each in sorted(folder.glob("[!.]*")) if each.is_file() and each.suffix not in left_out]


def run(given: Namespace) -> bool:
    """Build all; return True if all succeeded within the time limit."""
    end_s = time.monotonic() + given.limit_s
    options = shlex.split(given.build_options)
    waiting = list(builds(given))
    running: list[Running] = []
    well = True
    try:
        while waiting or running:
            while waiting and (given.parallel or not running) and time.monotonic() < end_s:
                running.append(Running(waiting.pop(0), options))
            time.sleep(POLL_S)
            late = time.monotonic() >= end_s
            for each in [each for each in running if late or not each.alive]:
                running.remove(each)
                well &= each.finish()
            if late:
                well &= not waiting
                break
    finally:
        for each in running:
            each.finish()
    return well


def parse_arguments() -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where engines are kept")
    parser.add_argument("--model", type=Path, help="model of the speed figures")
    parser.add_argument("--accuracy-model", type=Path)
    parser.add_argument("--calibration", type=Path, help="folder of calibration images, for INT8")
    parser.add_argument(
        "--test-folder", type=Path, help="folder of the demo's engine ($FRAMELANE_TEST_ENGINES)"
    )
    parser.add_argument(
        "--build-options",
        default="",
        metavar="ARGS",
        help="options of `framelane engine build` for all builds",
    )
    parser.add_argument("--parallel", action="store_true", help="build all at once")
    parser.add_argument("--limit-s", type=float, default=1800.0, help="time limit for all builds together")
    return parser.parse_args()


def main() -> int:
    """Build under the folder's lock; return 0 if all succeeded."""
    given = parse_arguments()
    for name in ("folder", "test_folder"):
        if getattr(given, name):
            setattr(given, name, getattr(given, name).resolve())
            getattr(given, name).mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    with (given.folder / "builds.lock").open("w") as lock:
        # A second call waits here.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return 0 if run(given) else 1


if __name__ == "__main__":
    sys.exit(main())
