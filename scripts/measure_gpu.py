"""Measure a GPU host: every step that docs/performance.md reports, each under its own time limit.

    python scripts/make_surveillance_clips.py --out clips
    python scripts/measure_gpu.py results --clips clips --model yolov8s.onnx                      # all steps
    python scripts/measure_gpu.py results tests engine decode --clips clips --model yolov8s.onnx  # some of them
    python scripts/measure_gpu.py results engines ... --parallel-builds &       # a later `engines` waits for it
    python scripts/measure_gpu.py results pipeline ... --more pipeline='--workers 4' --limit pipeline=400

A step that fails or takes too long doesn't stop the next. Each leaves a log and its figures as JSON in the
folder named first; summary.json there holds the outcomes. Steps whose inputs are missing are skipped with a
message.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
MOST_SHOWN = 6000

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENVIRONMENT = """
import platform, sys
from importlib.metadata import PackageNotFoundError, version
from framelane.gpu.availability import why_absent, why_no_nvdec
print("python", platform.python_version(), "framelane", __import__("framelane").__version__)
for name in ("av", "numpy", "tensorrt", "pycuda", "onnx", "onnxruntime", "opencv-python-headless", "nvidia-ml-py"):
    try:
        print(name, version(name))
    except PackageNotFoundError:
        print(name, getattr(__import__("tensorrt"), "__version__", "?") if name == "tensorrt" else "none")
print("TensorRT:", why_absent() or "ready")
print("NVDEC:", why_no_nvdec() or "ready")
sys.exit(1 if why_absent() or why_no_nvdec() else 0)
"""


@dataclass(frozen=True, slots=True)
class Task:
    """One command.

    Attributes:
        name: name of its log and its figures.
        command: the command line.
        limit_s: time limit.
        figures: whether its standard output is its figures as JSON.
    """

    name: str
    command: tuple[str, ...]
    limit_s: float
    figures: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a command; `code` is None if it was stopped at its limit."""

    name: str
    command: str
    code: int | None
    seconds: float


def python(*arguments: object) -> tuple[str, ...]:
    """Return a command of this interpreter."""
    return (sys.executable, *(str(argument) for argument in arguments))


def framelane(*arguments: object) -> tuple[str, ...]:
    """Return a command of the package."""
    return python("-m", "framelane", *arguments)


def environment(_given: Namespace) -> Iterator[Task]:
    """Yield the tasks for versions, the driver, and whether the GPU can be used."""
    yield Task("nvidia-smi", ("sh", "-c", "nvidia-smi"), 30)
    yield Task("environment", python("-c", ENVIRONMENT), 60)


def tests(given: Namespace) -> Iterator[Task]:
    """Yield the tests that need a GPU."""
    if given.test_folder:
        os.environ["FRAMELANE_TEST_ENGINES"] = str(given.test_folder)
    folders = ("tests/gpu", "tests/inference/backends/cuda")
    yield Task("tests", python("-m", "pytest", "-m", "gpu", *folders, "-v", "--tb=short"), 580)


def engines(given: Namespace) -> Iterator[Task]:
    """Yield the builds that the other steps and the tests need, so that none of them measures a build."""
    script = python("scripts/build_engines.py", "--folder", given.engine_folder, "--model", given.model)
    names = ("accuracy_model", "calibration", "test_folder")
    pairs = [
        (f"--{name.replace('_', '-')}", str(getattr(given, name))) for name in names if getattr(given, name)
    ]
    more = [word for pair in pairs for word in pair] + ["--parallel"] * given.parallel_builds
    limit_s = 1800.0
    options = (f"--build-options={given.build_options}", "--limit-s", str(limit_s - 20))
    yield Task("engines", (*script, *more, *options), limit_s)


def accuracy(given: Namespace) -> Iterator[Task]:
    """Yield average precision on COCO's images, and precision and recall of persons, on GPU and CPU."""
    for precision in precisions(given):
        yield Task(f"coco-{precision}", coco_command(given, precision), 200, figures=True)
    yield Task("coco-cpu", coco_command(given, "cpu"), 200, figures=True)
    for decode in ("nvdec", "cpu"):
        backend = "tensorrt" if decode == "nvdec" else "onnxruntime"
        script = python(
            "scripts/eval_pets.py", given.accuracy_model, "--video", given.video, "--truth", given.truth
        )
        more = ("--backend", backend, "--decode", decode, "--engine-folder", given.engine_folder, "--json")
        yield Task(f"pets-{decode}", (*script, *more), 200, figures=True)


def engine(given: Namespace) -> Iterator[Task]:
    """Yield the engine alone, against a bare loop over the same graph."""
    command = (*engine_command(given), "--seconds", "5", "--json")
    yield Task("engine", command, 200, figures=True)


def decode(given: Namespace) -> Iterator[Task]:
    """Yield the decoder alone."""
    sweep = ROOT / "scripts/bench_nvdec.py"
    for codec in codecs(given):
        name, files = f"decode-{codec}", clips(given, codec)
        if sweep.exists():
            yield Task(name, python(sweep, *files, "--json", given.out / f"{name}.json"), 200)
        else:
            options = ("--streams", 64, "--seconds", 8, "--json")
            yield Task(name, framelane("bench", "decode", *files, *options), 200, figures=True)


def pipeline(given: Namespace) -> Iterator[Task]:
    """Yield the search for the largest number of cameras, and their share of the ceilings."""
    for codec in codecs(given):
        guess = {"h264": 148, "hevc": 229}[codec]
        options = ("--streams", guess, "--budget-s", 240, *ceilings(given, codec))
        yield Task(f"pipeline-{codec}", pipeline_command(given, codec, *options), 400)


def rtsp(given: Namespace) -> Iterator[Task]:
    """Yield live cameras over loopback."""
    options = ("--rtsp", 2, "--streams", 32, "--no-search")
    yield Task("rtsp", pipeline_command(given, codecs(given)[0], *options), 120)


def memory(given: Namespace) -> Iterator[Task]:
    """Yield GPU memory by streams and models."""
    codec = codecs(given)[0]
    for streams, models in ((1, 1), (32, 1), (96, 1), (32, 2)):
        name, options = (
            f"memory-{streams}x{models}",
            ("--streams", streams, "--models", models, "--no-search"),
        )
        short = ("--seconds", 4, "--steady", 2)
        yield Task(name, pipeline_command(given, codec, *options, *short, name=name), 150)


def startup(given: Namespace) -> Iterator[Task]:
    """Yield the time from the process's start to READY with a cached engine."""
    codec = codecs(given)[0]
    yield Task("startup", pipeline_command(given, codec, "--startup", "--streams", 4, name="startup"), 120)


def soak(given: Namespace) -> Iterator[Task]:
    """Yield the soak: whether memory stays flat at full load."""
    options = ("--soak-minutes", 8, "--streams", 140)
    yield Task("soak", pipeline_command(given, codecs(given)[0], *options, name="soak"), 590)


STEPS: dict[str, Callable[[Namespace], Iterator[Task]]] = {
    step.__name__: step
    for step in (environment, tests, engines, accuracy, engine, decode, pipeline, rtsp, memory, startup, soak)
}
NEEDS = {
    "engines": ("model", "accuracy_model"),
    "accuracy": ("accuracy_model", "images", "video", "truth"),
    "engine": ("model",),
    "decode": ("clips",),
    **dict.fromkeys(("pipeline", "rtsp", "memory", "startup", "soak"), ("clips", "model")),
}


def engine_command(given: Namespace) -> tuple[str, ...]:
    """Return `framelane bench engine` on the model."""
    options = ("--backend", "tensorrt", "--precision", "fp16", "--batches", "16")
    return framelane("bench", "engine", given.model, *options, "--engine-folder", given.engine_folder)


def coco_command(given: Namespace, precision: str) -> tuple[str, ...]:
    """Return the accuracy of the small model in a precision, or on the CPU."""
    script = python("scripts/eval_coco.py", given.accuracy_model, "--images", given.images, "--json")
    if precision == "cpu":
        return script
    calibration = ("--calibration", str(given.calibration)) if precision == "int8" else ()
    folder = ("--engine-folder", str(given.engine_folder))
    return (*script, "--backend", "tensorrt", "--precision", precision, *folder, *calibration)


def pipeline_command(given: Namespace, codec: str, *options: object, name: str = "") -> tuple[str, ...]:
    """Return scripts/bench_gpu_pipeline.py on the clips of a codec."""
    common = ("--model", given.model, "--engine-folder", given.engine_folder)
    figures = given.out / f"{name or next(iter_name(options, codec))}.json"
    script = python("scripts/bench_gpu_pipeline.py", "--clips", *clips(given, codec), *common)
    return (*script, *(str(option) for option in options), "--json", str(figures))


def iter_name(options: tuple[object, ...], codec: str) -> Iterator[str]:
    """Return the name of a run's figures."""
    yield "rtsp" if "--rtsp" in options else f"pipeline-{codec}"


def clips(given: Namespace, codec: str) -> list[Path]:
    """Return the 1080p clips of a codec."""
    return sorted(given.clips.rglob(f"*-1080p30-{codec}.mp4"))


def codecs(given: Namespace) -> list[str]:
    """Return the codecs that have clips."""
    return [codec for codec in ("h264", "hevc") if clips(given, codec)]


def precisions(given: Namespace) -> list[str]:
    """Return the precisions; INT8 needs calibration images."""
    return ["fp16", "int8"] if given.calibration else ["fp16"]


def ceilings(given: Namespace, codec: str) -> tuple[str, ...]:
    """Return what decoder and engine reached alone in this folder's results."""
    found = {"decode": (f"decode-{codec}", "frames_s"), "engine": ("engine", "images_s")}
    rates = {name: largest(given.out / f"{file}.json", key) for name, (file, key) in found.items()}
    return (
        ("--ceiling", *(f"{name}={rate:.1f}" for name, rate in rates.items() if rate))
        if any(rates.values())
        else ()
    )


def largest(file: Path, key: str) -> float:
    """Return the largest number under a key anywhere in a JSON file; 0 if there is none."""
    if not file.exists():
        return 0.0
    try:
        return max(_values(json.loads(file.read_text(encoding="utf-8")), key), default=0.0)
    except json.JSONDecodeError:
        return 0.0


def _values(body: Any, key: str) -> Iterator[float]:  # noqa: ANN401 - any JSON
    if isinstance(body, dict):
        for name, value in body.items():
            if name == key and isinstance(value, int | float):
                yield float(value)
            else:
                yield from _values(value, key)
    elif isinstance(body, list):
        for value in body:
            yield from _values(value, key)


def run(task: Task, more: list[str], limit_s: float, out: Path) -> Outcome:
    """Run a command with its output on screen and in its log; stop it and its children at its limit."""
    command = [*task.command, *more]
    print(f"\n=== {task.name} (at most {limit_s:.0f} s): {shlex.join(command)}", flush=True)
    paths = [str(ROOT / "daemon"), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = {"PYTHONUNBUFFERED": "1", "COLUMNS": "120", "PYTHONPATH": os.pathsep.join(paths)}
    began_s = time.monotonic()
    with ExitStack() as stack:
        log = stack.enter_context((out / f"{task.name}.log").open("wb"))
        figures = stack.enter_context((out / f"{task.name}.json").open("wb")) if task.figures else None
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | variables,
            stdout=figures or subprocess.PIPE,
            stderr=subprocess.PIPE if figures else subprocess.STDOUT,
            start_new_session=True,
        )
        said = process.stderr if figures else process.stdout
        reader = threading.Thread(target=copy, args=(said, log), daemon=True)
        reader.start()
        try:
            code: int | None = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end(process)
        reader.join(5.0)
    if task.figures:
        print((out / f"{task.name}.json").read_text(errors="replace")[-MOST_SHOWN:], flush=True)
    outcome = Outcome(task.name, shlex.join(command), code, round(time.monotonic() - began_s, 1))
    how = "out of time" if code is None else f"exit code {code}"
    print(f"--- {task.name}: {how}, {outcome.seconds} s", flush=True)
    return outcome


def copy(said: IO[bytes], log: IO[bytes]) -> None:
    """Show a command's output and keep it."""
    for line in said:
        log.write(line)
        log.flush()
        sys.stdout.write(line.decode(errors="replace"))
        sys.stdout.flush()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop a command and everything it started, gently first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        deadline_s = time.monotonic() + 10
        while time.monotonic() < deadline_s:
            process.poll()
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.1)


def parse_arguments() -> Namespace:
    """Read the command line; paths that are neither given nor beside the checkout are None."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for logs and figures")
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"of {', '.join(STEPS)}; all by default")
    parser.add_argument("--clips", type=Path, help="folder of clips from scripts/make_surveillance_clips.py")
    parser.add_argument("--model", type=Path, help="the model of the speed figures")
    parser.add_argument("--accuracy-model", type=Path, default=SHARED / "models/yolox_nano_416_dynbatch.onnx")
    parser.add_argument("--images", type=Path, default=SHARED / "images/coco_val128")
    parser.add_argument("--calibration", type=Path, help="folder of calibration images, for INT8")
    parser.add_argument("--video", type=Path, default=SHARED / "videos/vtest_pets09s2l1_h264_7fps.mp4")
    parser.add_argument("--truth", type=Path, default=SHARED / "videos/PETS09-S2L1/gt.txt")
    parser.add_argument("--engine-folder", type=Path, default=ROOT / "engines")
    parser.add_argument("--test-folder", type=Path, help="folder of the tests' engine")
    parser.add_argument(
        "--parallel-builds", action="store_true", help="build engines in parallel, if time is short"
    )
    parser.add_argument(
        "--build-options", default="", metavar="ARGS", help="options of `framelane engine build`"
    )
    parser.add_argument(
        "--limit", action="append", default=[], metavar="STEP=S", help="time limit of each command of a step"
    )
    parser.add_argument(
        "--more",
        action="append",
        default=[],
        metavar="STEP=ARGS",
        help="more arguments for a step's commands",
    )
    given = parser.parse_args()
    unknown = set(given.steps) - STEPS.keys()
    if unknown:
        parser.error(f"no such step: {', '.join(sorted(unknown))}")
    for name, value in vars(given).items():
        if isinstance(value, Path):
            setattr(given, name, value.resolve())
    return given


def main() -> int:
    """Run the steps; return 0 if all succeeded."""
    given = parse_arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    more = {name: shlex.split(text) for name, text in (each.split("=", 1) for each in given.more)}
    limits = {name: float(text) for name, text in (each.split("=", 1) for each in given.limit)}
    summary = given.out / "summary.json"
    outcomes: list[dict[str, Any]] = json.loads(summary.read_text()) if summary.exists() else []
    failed = 0
    for step in given.steps or STEPS:
        lacking = [
            name
            for name in NEEDS.get(step, ())
            if not getattr(given, name) or not getattr(given, name).exists()
        ]
        if lacking:
            print(f"\n=== {step} is skipped: no --{', --'.join(lacking).replace('_', '-')}", flush=True)
            continue
        for task in STEPS[step](given):
            outcome = run(task, more.get(step, []), limits.get(step, task.limit_s), given.out)
            outcomes.append(asdict(outcome))
            failed += outcome.code != 0
            summary.write_text(json.dumps(outcomes, indent=2))
    print(
        "\n"
        + "\n".join(f"{each['name']:<24} {each['code']!s:>5} {each['seconds']:>8} s" for each in outcomes)
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
