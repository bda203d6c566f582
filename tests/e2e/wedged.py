"""`framelane run CONFIG` with a part that hangs forever once the file HANG is there; limits are those of a test.

Run as a process of its own, as `tests.e2e.wedged PART HANG CONFIG`: the hang is the only thing that is made up. Of
several workers, w0 hangs by the file HANG-w0; they are started as `tests.e2e.wedged PART HANG w0`.
"""

from __future__ import annotations

import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

from framelane.cli import main
from framelane.fleet import worker as fleet_worker
from framelane.inference.backends.cpu.runner import CpuRunner
from framelane.node import daemon
from framelane.sinks.mqtt import sender
from framelane.sinks.mqtt.connection import BrokerConnection
from framelane.telemetry import node_health

PARTS: dict[str, tuple[type, str]] = {
    "inference": (CpuRunner, "detect"),
    "mqtt": (BrokerConnection, "poll"),
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
    node_health._WEDGED_S = 2.0
    sender._TURN_S = 1.0
    if Path(config).is_file():
        hang_in(part, Path(sign))
        command = (sys.executable, "-m", "tests.e2e.wedged", part, sign)
        daemon.make_node = partial(daemon.make_node, command=command)
        sys.argv = ["framelane", "run", config]
        main()
    else:
        hang_in(part, Path(f"{sign}-{config}"))
        fleet_worker.main()
