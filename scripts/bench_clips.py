"""Cut clips of many cameras while the broker is away and the disk is full, and check each of them.

    python scripts/bench_clips.py                            # 4 cameras, four phases of half a minute, as root
    python scripts/bench_clips.py --streams 8 --seconds 60   # longer, most of it for checking the clips

All is well; the broker is away; the disk is full, too; all is well again. The clips have a file system of 160 MiB
of their own, in memory, which a stranger fills as fast as Framelane deletes from it. Each clip is fetched as soon
as its event is in the daemon's own file, and decoded by ffprobe (apt-get install ffmpeg). It must begin at most one
GOP before the promised second and never after it, end when it should, and show every picture. The broker must get
every event in the end.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from framelane.measure.errors import BenchError
from framelane.measure.host import describe_host
from lab.clip_bench import measure_clips
from lab.script import FAKE_CAMERAS, command_line, run_script, say

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from lab.clip_bench import ClipsReport


def measure(arguments: Namespace) -> ClipsReport:
    """Run all phases on a file system of their own."""
    with _small_disk() as disk:
        return measure_clips(
            disk,
            arguments.streams,
            arguments.seconds,
            FAKE_CAMERAS,
            host=describe_host(),
            command=command_line(),
            say=say,
        )


def passed(report: ClipsReport) -> bool:
    """Say each fault; return whether all goals are met."""
    for fault in [fault for phase in report.phases for fault in phase.faults][:20]:
        say(fault)
    return all(goal.met for goal in report.goals)


@contextmanager
def _small_disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="framelane-disk-") as name:
        mount = ["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", name]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(f"can't mount a file system that can be filled; run this as root: {done.stderr}")
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", "--lazy", name], check=True)


def main() -> int:
    """Return the exit code."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=4, help="cameras")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each phase")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return run_script(measure, parser.parse_args(), passed)


if __name__ == "__main__":
    sys.exit(main())
