"""What a benchmark's subscriber says of a broker that stalls: results come late, out of the spool, and none is lost."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.neighbours.clips import ClipShape, draw_clip

from framelane.measure.process import Child
from lab.neighbors import Site
from lab.null_model import write_null_model
from lab.soak import SoakDiary

if TYPE_CHECKING:
    from pathlib import Path

    from lab.soak import Soak

STREAMS = 2
STALL_S = 1.5
"""More than `sync_ms`: what has waited for half of that is moved to disk, and comes beside what is new."""
RECOVERED_S = 30.0


@pytest.mark.timeout(120)
def test_stall_of_the_broker_makes_results_late_and_loses_none(tmp_path: Path) -> None:
    model = write_null_model(tmp_path / "null.onnx")
    clip = draw_clip(tmp_path, "h264", ClipShape(frames=50))
    diary = SoakDiary()
    with Site(subscribers=2, streams=STREAMS) as site:
        mqtt = {"url": site.url, "inflight": 2, "spool": {"folder": str(tmp_path / "spool")}}
        config = site.configure({"path": str(model)}, [str(clip)] * STREAMS, {"mqtt": mqtt}, loop=True)
        command = [sys.executable, "-m", "framelane", "run", str(config)]
        site.subscriber.open()
        with Child("framelane", command, site.folder) as daemon:
            site.subscriber.wait_for_streams(STREAMS, daemon)
            site.subscriber.open()
            os.kill(site.broker.pid, signal.SIGSTOP)
            time.sleep(STALL_S)
            os.kill(site.broker.pid, signal.SIGCONT)
            soak = _looked_at_until_all_is_there(site, daemon, diary)

    assert soak.late > 0
    assert soak.missing == 0


def _looked_at_until_all_is_there(site: Site, daemon: Child, diary: SoakDiary) -> Soak:
    """Window by window, so that some open gaps that a later one fills."""
    end_s = time.monotonic() + RECOVERED_S
    while True:
        time.sleep(0.5)
        diary.look(time.monotonic(), daemon.usage(), None)
        diary.book(site.subscriber.take())
        soak = diary.close(STREAMS)
        if (soak.late and not soak.missing) or time.monotonic() > end_s:
            return soak
