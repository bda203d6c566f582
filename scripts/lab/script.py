"""Shared parts of the benchmark and soak scripts: paths in a checkout, options, reports and exit codes."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import yaml

from framelane.core.errors import FramelaneError
from framelane.core.log import setup
from framelane.measure.process import end_on_sigterm
from framelane.measure.report import show, to_json
from lab.clip import benchmark_clip

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.measure.process import Child
    from framelane.measure.report import Report
    from lab.neighbors import Site

_R = TypeVar("_R", bound="Report")

CHECKOUT = Path(__file__).resolve().parents[2]
SHARED = CHECKOUT.parent / "shared"
_YOLOX = SHARED / "models/yolox_nano_416_dynbatch.onnx"
MODEL = _YOLOX if _YOLOX.is_file() else CHECKOUT / "daemon/framelane/demo/assets/framelane-demo.onnx"
"""Default model of the benchmarks: YOLOX-nano, or the demo's model if that is missing."""
FOOTAGE = SHARED / "videos/vtest_pets09s2l1_h264_7fps.mp4"
FAKE_CAMERAS = CHECKOUT / "scripts/fake_cameras.py"


def make_parser(description: str | None, streams: int) -> ArgumentParser:
    """Return a parser with the options of all scripts."""
    parser = ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=streams, help="cameras")
    parser.add_argument(
        "--clip", type=Path, help="clip, 640x480 at 25 frames/s (default: made from real footage)"
    )
    parser.add_argument("--broker", choices=("auto", "mosquitto", "embedded"), default="auto")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser


def add_stream_options(parser: ArgumentParser) -> None:
    """Add an option for settings of all streams in the daemon's configuration."""
    parser.add_argument(
        "--stream-option",
        nargs="*",
        default=[],
        metavar="KEY=VALUE",
        help="for all streams, such as late_ms=500",
    )


def stream_options(arguments: Namespace) -> dict[str, object]:
    """Return the given settings, with values parsed as YAML."""
    pairs = (pair.split("=", 1) for pair in arguments.stream_option)
    return {name: yaml.safe_load(value) for name, value in pairs}


def make_clip(arguments: Namespace, site: Site) -> Path:
    """Return the clip that the cameras show."""
    return benchmark_clip(arguments.clip, FOOTAGE, site.folder)


def start_cameras(arguments: Namespace, site: Site) -> tuple[Child, list[str]]:
    """Start the requested cameras as one process; return it and their URLs."""
    return site.cameras(FAKE_CAMERAS, make_clip(arguments, site), arguments.streams)


def _any_will_do(_report: Report) -> bool:
    return True


def run_script(
    measure: Callable[[Namespace], _R], arguments: Namespace, passed: Callable[[_R], bool] = _any_will_do
) -> int:
    """Measure, print tables, write JSON; return the exit code: 1 if the report has not `passed`."""
    end_on_sigterm()
    setup("warning", "console")
    try:
        report = measure(arguments)
    except FramelaneError as error:
        say(f"{Path(sys.argv[0]).stem}: {error}")
        return error.exit_code
    show(report)
    if arguments.json is not None:
        arguments.json.write_text(f"{to_json(report)}\n", encoding="utf-8")
    return 0 if passed(report) else 1


def command_line() -> str:
    """Return this script's command line, for the report."""
    return " ".join(["python", *sys.argv])


def say(text: str) -> None:
    """Print progress to standard error, apart from the figures."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
