"""Feed our RTSP reader a million damaged answers, session descriptions and packets.

    python scripts/fuzz_rtsp.py --cases 1000000 --seed 1        # a few minutes on one core
    python scripts/fuzz_rtsp.py --seed 1 --only 4711            # one mutant again, with its traceback

Mutants are made from real servers' transcripts (tests/data/rtsp) and encoded clips, by structure and by
bytes. A mutant may end in a SourceError or be left to FFmpeg. Any other exception, more CPU time than
--most-ms in each of three attempts, or memory growth above --most-mb is a fault: the script then exits with 1
and saves the mutant in --save. Needs a checkout.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "daemon"))

from tests.fuzz.rtsp_mutants import Seeds, load_seeds, make_mutant
from tests.fuzz.rtsp_trial import run_mutant
from tests.neighbours.clips import ClipShape
from tests.neighbours.rtsp_clips import make_clip

if TYPE_CHECKING:
    from tests.fuzz.rtsp_mutants import Mutant
    from tests.fuzz.rtsp_trial import Outcome

TRANSCRIPTS = Path(__file__).resolve().parents[1] / "tests/data/rtsp"
CLIPS = ("h264-slices", "hevc-bframes", "mjpeg")
TOLD_EVERY = 50_000
TRIES = 3
WARM_UP = 5_000
"""Mutants before the first memory sample, in which libraries fill their caches."""
SHOWN_REASONS = 20


@dataclass(slots=True)
class Tally:
    """Counts and faults so far."""

    mutants: int = 0
    cases: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    units: int = 0
    slowest: tuple[float, int] = (0.0, -1)
    faults: list[int] = field(default_factory=list)
    first_mb: float = 0.0
    most_mb: float = 0.0

    def add(self, number: int, mutant: Mutant, outcome: Outcome) -> None:
        """Count one mutant."""
        self.cases[mutant.kind] += mutant.damages
        self.reasons[outcome.reason] += 1
        self.units += outcome.units
        self.slowest = max(self.slowest, (outcome.took_s, number))

    def weigh(self) -> None:
        """Sample the process's memory."""
        gc.collect()
        held_mb = psutil.Process().memory_info().rss / 1e6
        self.first_mb = self.first_mb or held_mb
        self.most_mb = max(self.most_mb, held_mb)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cases", type=int, default=1_000_000, help="number of damaged answers, descriptions and packets"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--only", type=int, metavar="N", help="run only mutant N, without catching its exception"
    )
    parser.add_argument("--most-ms", type=float, default=250.0, help="most CPU time of one mutant")
    parser.add_argument(
        "--most-mb", type=float, default=30.0, help="most growth of the process after the warm-up"
    )
    parser.add_argument("--most-faults", type=int, default=10, help="stop after this many faults")
    parser.add_argument("--save", type=Path, default=Path("fuzz-rtsp"), help="folder for faults")
    return parser.parse_args()


def seeds() -> Seeds:
    """Read the transcripts, and encode the clips."""
    with tempfile.TemporaryDirectory() as folder:
        shape = ClipShape(320, 240, 50, 25)
        return load_seeds(TRANSCRIPTS, [make_clip(Path(folder), name, shape) for name in CLIPS])


def save(folder: Path, name: str, mutant: Mutant, why: str) -> None:
    """Save a mutant and why it is a fault."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, said in enumerate(mutant.connections):
        (folder / f"{name}.connection{number}").write_bytes(said)
    (folder / f"{name}.pieces").write_bytes(b"".join(mutant.pieces))
    (folder / f"{name}.why").write_text(why, encoding="utf-8")


def cpu_time(mutant: Mutant) -> float:
    """Return a mutant's CPU time in seconds; other work on the host does not count."""
    began_s = time.thread_time()
    run_mutant(mutant)
    return time.thread_time() - began_s


def run(arguments: argparse.Namespace, source: Seeds) -> Tally:
    """Run mutants until the requested number of cases is reached."""
    tally, told = Tally(), TOLD_EVERY
    while tally.cases.total() < arguments.cases and len(tally.faults) < arguments.most_faults:
        number = tally.mutants
        tally.mutants += 1
        mutant = make_mutant(source, arguments.seed, number)
        try:
            outcome = run_mutant(mutant)
        except Exception:  # noqa: BLE001 - that is what is looked for
            tally.faults.append(number)
            tally.cases[mutant.kind] += mutant.damages
            save(arguments.save, f"{arguments.seed}-{number}", mutant, traceback.format_exc())
            continue
        tally.add(number, mutant, outcome)
        if outcome.took_s * 1000 > arguments.most_ms:
            cpu_s = min(cpu_time(mutant) for _ in range(TRIES))
            if cpu_s * 1000 > arguments.most_ms:
                tally.faults.append(number)
                save(arguments.save, f"{arguments.seed}-{number}", mutant, f"took {cpu_s:.3f} s of CPU time")
        if number % WARM_UP == WARM_UP - 1:
            tally.weigh()
        if tally.cases.total() >= told:
            told += TOLD_EVERY
            print(f"{tally.cases.total()} cases, {len(tally.faults)} faults", file=sys.stderr, flush=True)
    tally.weigh()
    return tally


def show(tally: Tally, arguments: argparse.Namespace, wall_s: float) -> bool:
    """Print the counts; return whether there was no fault."""
    total, grown_mb = tally.cases.total(), tally.most_mb - tally.first_mb
    print(
        f"{total} cases, seed {arguments.seed}: {tally.mutants} mutants, {wall_s:.0f} s, {total / wall_s:.0f}/s"
    )
    print("cases:", *(f"{count} {kind}s" for kind, count in sorted(tally.cases.items())))
    print("ends:", *(f"{reason} {count}" for reason, count in tally.reasons.most_common(SHOWN_REASONS)))
    print(f"pictures handed on: {tally.units}")
    print(f"slowest mutant: {tally.slowest[0] * 1000:.1f} ms (number {tally.slowest[1]})")
    print(f"memory: {tally.first_mb:.1f} MB after the warm-up, at most {tally.most_mb:.1f} MB")
    print(f"faults: {len(tally.faults)}", *tally.faults)
    return not tally.faults and grown_mb <= arguments.most_mb


def main() -> None:
    """Run one mutant, or all."""
    arguments = parse_arguments()
    source = seeds()
    if arguments.only is not None:
        print(run_mutant(make_mutant(source, arguments.seed, arguments.only)))
        return
    began_s = time.monotonic()
    tally = run(arguments, source)
    sys.exit(0 if show(tally, arguments, time.monotonic() - began_s) else 1)


if __name__ == "__main__":
    main()
