"""Measure how many frames per second NVDEC decodes, by codec (clip), processes and streams.

    python scripts/bench_nvdec.py clips/*.mp4 --json nvdec.json
    python scripts/bench_nvdec.py clips/h264.mp4 clips/hevc.mp4 --cells 1x8,1x32,4x16 --download

A cell is processes x streams per process. Clips of one codec are distributed over the streams of a cell,
loop, and are decoded as fast as possible. `scripts/make_surveillance_clips.py` makes clips.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "daemon"))

from framelane.core.errors import FramelaneError
from framelane.measure.decode import DecodeBench, bench_decode
from framelane.measure.decode_source import Decoding
from framelane.measure.report import Section, number, show, to_json
from framelane.sources.decoding.decoder import DecoderChoice

CELLS = "1x1,1x8,1x32,1x64,2x16,2x32,4x8,4x16,8x8"


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement: codec, processes, streams, and the result or the reason why there is none."""

    codec: str
    processes: int
    streams: int
    result: DecodeBench | None
    fault: str = ""

    def row(self) -> tuple[str, ...]:
        """Return the cell's row of the table."""
        name = (self.codec, str(self.processes), str(self.processes * self.streams))
        if self.result is None:
            return (*name, "-", "-", "-", "-", self.fault)
        gpu = self.result.gpu
        return (
            *name,
            number(self.result.frames_s, 0),
            number(self.result.cpu_cores, 2),
            number(100 * gpu.decoder_utilization if gpu else None, 0),
            number(gpu.memory_mb if gpu else None, 0),
            number(self.result.slowest_to_fastest, 2),
        )


@dataclass(frozen=True, slots=True)
class Sweep:
    """All cells."""

    cells: tuple[Cell, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return all figures for JSON."""
        return {
            "ceiling": {codec: best.result.frames_s for codec, best in self._best().items() if best.result},
            "cells": [
                {
                    "codec": cell.codec,
                    "processes": cell.processes,
                    "streams_a_process": cell.streams,
                    "fault": cell.fault,
                    "result": cell.result.as_dict() if cell.result else None,
                }
                for cell in self.cells
            ],
        }

    def sections(self) -> tuple[Section, ...]:
        """Return the tables of all cells and of the best of each codec."""
        columns = (
            "codec", "processes", "streams", "frames/s", "CPU cores", "NVDEC %", "GPU MB", "slowest/fastest",
        )  # fmt: skip
        host = next((str(cell.result.host) for cell in self.cells if cell.result), "")
        return (
            Section(f"Decoding\n{host}", columns, tuple(cell.row() for cell in self.cells)),
            Section("Ceiling by codec", columns, tuple(cell.row() for cell in self._best().values())),
        )

    def _best(self) -> dict[str, Cell]:
        best: dict[str, Cell] = {}
        for cell in self.cells:
            if cell.result and cell.result.frames_s > _frames_s(best.get(cell.codec)):
                best[cell.codec] = cell
        return best


def _frames_s(cell: Cell | None) -> float:
    return cell.result.frames_s if cell and cell.result else 0.0


def codec_of(clip: str) -> str:
    """Return FFmpeg's name of a clip's codec."""
    with av.open(clip) as container:
        return container.streams.video[0].codec_context.name


def measure(codec: str, clips: list[str], shape: tuple[int, int], seconds: float, decoding: Decoding) -> Cell:
    """Measure one cell; an error becomes its result."""
    processes, streams = shape
    try:
        result = bench_decode(clips, processes * streams, seconds, decoding, processes)
    except FramelaneError as error:
        return Cell(codec, processes, streams, None, str(error))
    return Cell(codec, processes, streams, result)


def parse_arguments() -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", help="video files")
    parser.add_argument("--cells", default=CELLS, help="processes x streams per process, separated by commas")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a cell's measurement")
    parser.add_argument("--gpu", type=int, default=0)
    parser.add_argument("--download", action="store_true", help="copy frames to host memory")
    parser.add_argument("--cpu", action="store_true", help="decode on the CPU instead")
    parser.add_argument("--json", type=Path, help="write all figures there")
    return parser.parse_args()


def main() -> None:
    """Measure every cell, print each result at once, and then the table."""
    arguments = parse_arguments()
    decoding = Decoding(choice=DecoderChoice(None if arguments.cpu else arguments.gpu, arguments.download))
    clips: dict[str, list[str]] = {}
    for clip in arguments.clips:
        clips.setdefault(codec_of(clip), []).append(clip)
    shapes = [tuple(map(int, cell.split("x"))) for cell in arguments.cells.split(",")]
    cells = []
    for codec, files in clips.items():
        for processes, streams in shapes:
            cells.append(measure(codec, files, (processes, streams), arguments.seconds, decoding))
            print("  ".join(cells[-1].row()), file=sys.stderr, flush=True)
    sweep = Sweep(tuple(cells))
    show(sweep)
    if arguments.json is not None:
        arguments.json.write_text(f"{to_json(sweep)}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
