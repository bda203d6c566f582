"""What the scripts that benchmark and soak share: where things lie in a checkout, options, and how they end."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import yaml

from framelane.bench.clip import benchmark_clip
from framelane.bench.process import end_on_sigterm
from framelane.bench.report import show, to_json
from framelane.core.errors import FramelaneError
from framelane.core.log import setup

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.bench.neighbours import Site
    from framelane.bench.process import Child
    from framelane.bench.report import Report

_R = TypeVar("_R", bound="Report")

CHECKOUT = Path(__file__).resolve().parents[3]
SHARED = CHECKOUT.parent / "shared"
MODEL = SHARED / "models/yolox_nano_416_dynbatch.onnx"
FOOTAGE = SHARED / "videos/vtest_pets09s2l1_h264_7fps.mp4"
FAKE_CAMERAS = CHECKOUT / "scripts/fake_cameras.py"


def make_parser(description: str | None, streams: int) -> ArgumentParser:
    """A parser with the options that all scripts have."""
    parser = ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=streams, help="cameras")
    parser.add_argument(
        "--clip", type=Path, help="640x480 at 25 frames/s; made from real footage if not given"
    )
    parser.add_argument("--broker", choices=("auto", "mosquitto", "embedded"), default="auto")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser


def add_stream_options(parser: ArgumentParser) -> None:
    """An option for what all streams are to have in the daemon's configuration."""
    parser.add_argument(
        "--stream-option", nargs="*", default=[], metavar="KEY=VALUE", help="of all streams: late_ms=500"
    )


def stream_options(arguments: Namespace) -> dict[str, object]:
    """What was given there, the values as YAML reads them."""
    pairs = (pair.split("=", 1) for pair in arguments.stream_option)
    return {name: yaml.safe_load(value) for name, value in pairs}


def make_clip(arguments: Namespace, site: Site) -> Path:
    """The clip that the cameras are to show."""
    return benchmark_clip(arguments.clip, FOOTAGE, site.folder)


def start_cameras(arguments: Namespace, site: Site) -> tuple[Child, list[str]]:
    """Start as many cameras as asked for, as a process; returns it and their URLs."""
    return site.cameras(FAKE_CAMERAS, make_clip(arguments, site), arguments.streams)


def _any_will_do(_report: Report) -> bool:
    return True


def run_script(
    measure: Callable[[Namespace], _R], arguments: Namespace, passed: Callable[[_R], bool] = _any_will_do
) -> int:
    """Measure, print tables, write JSON; returns the exit code: 1 where the report has not `passed`."""
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
    """How this script was called, to stand beside its figures."""
    return " ".join(["python", *sys.argv])


def say(text: str) -> None:
    """Tell how far it is, apart from the figures."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
