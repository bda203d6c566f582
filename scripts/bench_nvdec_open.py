"""Measure opening NVDEC sessions up to the first frame of each: one after another, by threads, in processes.

    python scripts/bench_nvdec_open.py clip.mp4                          # 148 sessions, below a minute
    python scripts/bench_nvdec_open.py clip.mp4 --mps                    # repeat all cells under MPS
    python scripts/bench_nvdec_open.py clip.mp4 --cells 1x1,1x32,6x4 --json open.json
    python scripts/bench_nvdec_open.py clip.mp4 --cpu --sessions 8       # FFmpeg's decoder, without a GPU

A cell is processes x threads per process. The sessions are distributed over them and stay open until its end.
No cell starts after --budget-s, and no session of a cell after --most-s; the row shows what was opened by
then.
"""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "daemon"))

from framelane.measure.host import Host, describe_host
from framelane.measure.report import Section, number
from framelane.sources.decoding.decoder import ON_CPU, DecoderChoice
from lab.decoder_open import Openings, Task, open_decoders
from lab.mps import mps_daemon
from lab.script import command_line, run_script, say

if TYPE_CHECKING:
    from framelane.measure.figures import Percentiles

CELLS = "1x1,1x4,1x16,4x1,4x4"
COLUMNS = (
    "processes x threads",
    "MPS",
    "opened",
    "wall s",
    "s/session",
    "first of a process s",
    "create ms, p50 / p95 / most",
    "to frame ms, p50 / p95 / most",
    "further frame ms, p50 / p95",
)


@dataclass(frozen=True, slots=True)
class OpenReport:
    """All cells."""

    host: Host
    command: str
    decoder: str
    cells: tuple[Openings, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return all figures for JSON."""
        cells = [asdict(cell) | {"session_s": cell.session_s} for cell in self.cells]
        return asdict(self) | {"cells": cells}

    def sections(self) -> tuple[Section, ...]:
        """Return a table with one row per cell."""
        title = f"Opening sessions of {self.decoder}\n{self.host}"
        return (Section(title, COLUMNS, tuple(row(cell) for cell in self.cells)),)


def row(cell: Openings) -> tuple[str, ...]:
    """Return a cell's row of the table."""
    failed = f", {cell.failed} failed: {cell.fault}" if cell.failed else ""
    further = cell.picture_ms
    return (
        f"{cell.processes}x{cell.threads}",
        "yes" if cell.mps else "no",
        f"{cell.opened} of {cell.asked}{failed}",
        number(cell.wall_s, 2),
        number(cell.session_s, 4),
        number(cell.begin_s, 2),
        spread_text(cell.create_ms),
        spread_text(cell.first_ms),
        f"{further.p50:.2f} / {further.p95:.2f}" if further else "-",
    )


def spread_text(spread: Percentiles | None) -> str:
    """Return p50, p95 and the largest value as one cell."""
    return f"{spread.p50:.1f} / {spread.p95:.1f} / {spread.most:.1f}" if spread else "-"


def parse_arguments() -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path, help="video file that all sessions decode")
    parser.add_argument("--sessions", type=int, default=148, help="sessions per cell")
    parser.add_argument("--cells", default=CELLS, help="processes x threads per process, separated by commas")
    parser.add_argument(
        "--pictures", type=int, default=30, help="frames that each session decodes once all are open"
    )
    parser.add_argument("--gpu", type=int, default=0)
    parser.add_argument("--cpu", action="store_true", help="open decoders on the CPU instead")
    parser.add_argument("--download", action="store_true", help="copy frames to host memory")
    parser.add_argument("--mps", action="store_true", help="repeat all cells with NVIDIA's MPS daemon")
    parser.add_argument(
        "--most-s", type=float, default=20.0, help="start no session of a cell after this many seconds"
    )
    parser.add_argument("--budget-s", type=float, default=50.0, help="start no cell after this many seconds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser.parse_args()


def measure(arguments: Namespace) -> OpenReport:
    """Measure every cell, first without MPS, then with it."""
    host, began_s = describe_host(), time.monotonic()
    choice = ON_CPU if arguments.cpu else DecoderChoice(arguments.gpu, arguments.download)
    task = Task(str(arguments.clip.resolve()), choice, arguments.pictures, arguments.most_s)
    if arguments.mps:
        # If MPS is missing, fail before anything is measured.
        with mps_daemon():
            pass
    cells: list[Openings] = []
    for mps in (False, True) if arguments.mps else (False,):
        with ExitStack() as stack:
            if mps:
                stack.enter_context(mps_daemon())
            for shape in arguments.cells.split(","):
                if time.monotonic() - began_s > arguments.budget_s:
                    say(f"{shape}, MPS {mps}: not measured, --budget-s {arguments.budget_s:g} has passed")
                    continue
                processes, threads = map(int, shape.split("x"))
                cells.append(open_decoders(task, arguments.sessions, processes, threads, mps=mps))
                say("  ".join(row(cells[-1])))
    decoder = "FFmpeg on the CPU" if arguments.cpu else f"NVDEC of GPU {arguments.gpu}"
    return OpenReport(host, command_line(), decoder, tuple(cells))


if __name__ == "__main__":
    sys.exit(run_script(measure, parse_arguments()))
