"""`framelane run CONFIG` with a model that loses its GPU at the tenth batch, while another slot hangs in a call.

Run as a process of its own, as `tests.e2e.lost_gpu CONFIG`, or as the worker process that a Fleet starts. There is no
GPU in it, but the runner's errors and what follows are the daemon's own.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from itertools import count
from pathlib import Path
from typing import Any

from framelane import cli
from framelane.fleet import worker
from framelane.gpu.errors import DeviceLostError
from framelane.inference.backends.cpu.runner import CpuRunner

LOST_AT = 10
_batches = count(1)
_hanging = threading.Event()
_detect = CpuRunner.detect


def detect(self: CpuRunner, *arguments: Any) -> Any:
    number = next(_batches)
    if number == LOST_AT - 1:
        _hanging.set()
        ctypes.CDLL(None).pause()  # without the interpreter lock, as a wait for an event that never comes
    if number >= LOST_AT:
        _hanging.wait()
        raise DeviceLostError(
            "the GPU is lost to this process: waiting for the GPU: unspecified launch failure"
        )
    return _detect(self, *arguments)


CpuRunner.detect = detect  # type: ignore[method-assign,assignment]
if Path(sys.argv[1]).is_file():
    sys.argv = ["framelane", "run", sys.argv[1]]
    cli.main()
else:
    worker.main()
