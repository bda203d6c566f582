"""Kill a daemon with many events at random moments, with the broker away at times, and check every count.

    python scripts/soak_events.py               # 100 kills, about 10 minutes
    python scripts/soak_events.py --kills 20 --outage-every 3

The consumer has a lasting session at mosquitto. In the end each object must have one `new` and one `end`, the
totals of each counter must be 1, 2, 3, ... without gaps or repetitions, and equal the retained counter. An
event may be missing only if it was not yet on disk when the process was killed.
"""

from __future__ import annotations

import sys
import tempfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import TYPE_CHECKING

from framelane.measure.host import describe_host
from lab.event_soak import soak
from lab.script import command_line, run_script, say

if TYPE_CHECKING:
    from argparse import Namespace

    from lab.event_soak import EventsReport


def measure(arguments: Namespace) -> EventsReport:
    """Run the soak in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="framelane-events-") as folder:
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
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return run_script(measure, parser.parse_args(), passed)


if __name__ == "__main__":
    sys.exit(main())
