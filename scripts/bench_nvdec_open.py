"""What opening NVDEC sessions costs, up to the first picture of each: one after another, by threads, in processes.

    python scripts/bench_nvdec_open.py clip.mp4                          # 148 sessions, below a minute
    python scripts/bench_nvdec_open.py clip.mp4 --mps                    # all ways again under NVIDIA's MPS daemon
    python scripts/bench_nvdec_open.py clip.mp4 --cells 1x1,1x32,6x4 --json open.json
    python scripts/bench_nvdec_open.py clip.mp4 --cpu --sessions 8       # FFmpeg's decoder, without a GPU

A cell is processes x threads of each; the sessions are dealt over them, and all stay open until its end. No cell is
begun after --budget-s, and no session of a cell after --most-s: what was opened by then is what its row tells.
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

from framelane.bench.decoder_open import Openings, Task, open_decoders
from framelane.bench.host import Host, describe_host
from framelane.bench.mps import mps_daemon
from framelane.bench.report import Section, number
from framelane.bench.script import command_line, run_script, say
from framelane.sources.decoder import ON_CPU, DecoderChoice

if TYPE_CHECKING:
    from framelane.bench.figures import Percentiles

CELLS = "1x1,1x4,1x16,4x1,4x4"
COLUMNS = (
    "processes x threads",
    "MPS",
    "opened",
    "wall s",
    "s/session",
    "first of a process s",
    "create ms, p50 / p95 / most",
    "to picture ms, p50 / p95 / most",
    "further picture ms, p50 / p95",
)


@dataclass(frozen=True, slots=True)
class OpenReport:
    """All cells."""

    host: Host
    command: str
    decoder: str
    cells: tuple[Openings, ...]

    def as_dict(self) -> dict[str, Any]:
        """All figures, for JSON."""
        cells = [asdict(cell) | {"session_s": cell.session_s} for cell in self.cells]
        return asdict(self) | {"cells": cells}

    def sections(self) -> tuple[Section, ...]:
        """One row a cell."""
        title = f"Opening sessions of {self.decoder}\n{self.host}"
        return (Section(title, COLUMNS, tuple(row(cell) for cell in self.cells)),)


def row(cell: Openings) -> tuple[str, ...]:
    """A cell's line in the table."""
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
    """Three figures in a cell."""
    return f"{spread.p50:.1f} / {spread.p95:.1f} / {spread.most:.1f}" if spread else "-"


def parse_arguments() -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path, help="video file, which all sessions decode")
    parser.add_argument("--sessions", type=int, default=148, help="of a cell")
    parser.add_argument("--cells", default=CELLS, help="processes x threads of each, with commas between")
    parser.add_argument("--pictures", type=int, default=30, help="of each session, once all are open")
    parser.add_argument("--gpu", type=int, default=0)
    parser.add_argument("--cpu", action="store_true", help="open decoders on the CPU instead")
    parser.add_argument("--download", action="store_true", help="bring the pictures to host memory")
    parser.add_argument("--mps", action="store_true", help="measure all cells again with NVIDIA's MPS daemon")
    parser.add_argument(
        "--most-s", type=float, default=20.0, help="begin no session of a cell later than that"
    )
    parser.add_argument("--budget-s", type=float, default=50.0, help="begin no cell later than that")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser.parse_args()


def measure(arguments: Namespace) -> OpenReport:
    """Measure every cell, without MPS and then with it."""
    host, began_s = describe_host(), time.monotonic()
    choice = ON_CPU if arguments.cpu else DecoderChoice(arguments.gpu, arguments.download)
    task = Task(str(arguments.clip.resolve()), choice, arguments.pictures, arguments.most_s)
    if arguments.mps:
        with mps_daemon():  # where it can't be had, that is said before anything is measured
            pass
    cells: list[Openings] = []
    for mps in (False, True) if arguments.mps else (False,):
        with ExitStack() as stack:
            if mps:
                stack.enter_context(mps_daemon())
            for shape in arguments.cells.split(","):
                if time.monotonic() - began_s > arguments.budget_s:
                    say(f"{shape}, MPS {mps}: not measured, --budget-s {arguments.budget_s:g} is over")
                    continue
                processes, threads = map(int, shape.split("x"))
                cells.append(open_decoders(task, arguments.sessions, processes, threads, mps=mps))
                say("  ".join(row(cells[-1])))
    decoder = "FFmpeg on the CPU" if arguments.cpu else f"NVDEC of GPU {arguments.gpu}"
    return OpenReport(host, command_line(), decoder, tuple(cells))


if __name__ == "__main__":
    sys.exit(run_script(measure, parse_arguments()))
