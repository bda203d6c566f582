"""Kill a daemon with many events at random moments, with the broker away at times, and check every count.

    python scripts/soak_events.py               # 100 kills, about 10 minutes
    python scripts/soak_events.py --kills 20 --outage-every 3
    python scripts/soak_events.py --outage 600        # no kills: the broker is away for ten minutes
    python scripts/soak_events.py --full-disk 60      # likewise: the disk of journal and spool is full for a minute

The consumer has a lasting session at mosquitto. In the end each object must have one `new` and one `end`, the
totals of each counter must be 1, 2, 3, ... without gaps or repetitions, and equal the retained counter. An
event may be missing only if it was not yet on disk when the process was killed. As many totals may be missing as
events said that theirs was not safe, because the disk was full. A late message must change no entity of Home Assistant.

With --outage or --full-disk, two cameras show crowds that cross lines and zones; otherwise objects are invented.
"""

from __future__ import annotations

import sys
import tempfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import TYPE_CHECKING

from framelane.measure.host import describe_host
from lab.event_crowd import endure
from lab.event_soak import soak
from lab.script import command_line, run_script, say

if TYPE_CHECKING:
    from argparse import Namespace

    from lab.event_soak import EventsReport


def measure(arguments: Namespace) -> EventsReport:
    """Run the soak in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="framelane-events-") as folder:
        if arguments.outage or arguments.full_disk:
            return endure(
                Path(folder),
                outage_s=arguments.outage,
                full_disk_s=arguments.full_disk,
                host=describe_host(),
                command=command_line(),
            )
        return soak(
            Path(folder),
            arguments.kills,
            outage_every=arguments.outage_every,
            seed=arguments.seed,
            host=describe_host(),
            command=command_line(),
            say=say,
        )


def passed(report: EventsReport) -> bool:
    """Say each fault; return whether there is none."""
    for fault in report.faults[:20]:
        say(fault)
    return all(goal.met for goal in report.goals)


def main() -> int:
    """Return the exit code."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--outage-every", type=int, default=5, help="lives per broker outage")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--outage", type=float, default=0.0, help="seconds without the broker, instead of kills"
    )
    parser.add_argument(
        "--full-disk", type=float, default=0.0, help="seconds with a full disk, instead of kills"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return run_script(measure, parser.parse_args(), passed)


if __name__ == "__main__":
    sys.exit(main())
