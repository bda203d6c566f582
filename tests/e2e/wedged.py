"""`framelane run CONFIG` with a part that hangs for ever once the file HANG is there; limits are those of a test.

Run as a process of its own, as `tests.e2e.wedged PART HANG CONFIG`: the hang is the only thing that is made up. Of
several workers, w0 hangs by the file HANG-w0; they are started as `tests.e2e.wedged PART HANG w0`.
"""

from __future__ import annotations

import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

from framelane import vitals
from framelane.cli import main
from framelane.fleet import daemon
from framelane.fleet import worker as fleet_worker
from framelane.fleet.node import Fleet
from framelane.inference.cpu_runner import CpuRunner
from framelane.sinks import courier
from framelane.sinks.link import Link

PARTS: dict[str, tuple[type, str]] = {
    "inference": (CpuRunner, "detect"),
    "mqtt": (Link, "poll"),
}


def hang_in(part: str, sign: Path) -> None:
    owner, name = PARTS[part]
    works = getattr(owner, name)

    def hang(*arguments: Any, **options: Any) -> Any:
        if sign.exists():
            threading.Event().wait()
        return works(*arguments, **options)

    setattr(owner, name, hang)


if __name__ == "__main__":
    part, sign, config = sys.argv[1:]
    vitals._WEDGED_S = 2.0
    courier._TURN_S = 1.0
    if Path(config).is_file():
        hang_in(part, Path(sign))
        command = (sys.executable, "-m", "tests.e2e.wedged", part, sign)
        daemon.Fleet = partial(Fleet, command=command)  # type: ignore[attr-defined, assignment]
        sys.argv = ["framelane", "run", config]
        main()
    else:
        hang_in(part, Path(f"{sign}-{config}"))
        fleet_worker.main()
