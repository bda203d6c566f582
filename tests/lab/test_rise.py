"""Streams that come up, and streams that are taken out, of a daemon on tiny files."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.neighbours.clips import ClipShape, draw_clip

from framelane.measure.errors import BenchError
from framelane.measure.process import Child
from lab.neighbors import Site, stream_id
from lab.null_model import write_null_model
from lab.relief import reload, watch_relief
from lab.rise import Load, readiness, watch_rise

if TYPE_CHECKING:
    from pathlib import Path

STREAMS, LEFT = 3, 2
LIMIT_MS = 5000.0  # a busy host is no failure here


@pytest.mark.timeout(120)
def test_streams_come_up_and_some_are_taken_out(tmp_path: Path) -> None:
    model = {"path": str(write_null_model(tmp_path / "null.onnx"))}
    urls = [str(draw_clip(tmp_path, "h264", ClipShape(frames=50)))] * STREAMS
    with Site() as site, readiness(site.folder) as (environment, ready):
        config = site.configure(model, urls, {}, loop=True)
        began_s = time.monotonic()
        command = [sys.executable, "-m", "framelane", "run", str(config)]
        with Child("framelane", command, site.folder, environment) as daemon:
            load = Load(STREAMS, live=False, limit_ms=LIMIT_MS, patience_s=60.0, calm_s=1.5)
            rise = watch_rise("start", daemon, site.subscriber, load, began_s, ready)

            site.subscriber.open()
            began_s = time.monotonic()
            reload(site.configure(model, urls[:LEFT], {}, loop=True))
            names = [stream_id(number) for number in range(LEFT)]
            load = Load(LEFT, live=False, limit_ms=LIMIT_MS, patience_s=4.0)
            calm_s, spans = watch_relief(daemon, site.subscriber, load, began_s, names)

    assert 0.1 < rise.begin_s < 60
    assert rise.live_s["50 %"] is not None
    assert rise.live_s["all"] is not None
    assert rise.live_s["50 %"] <= rise.live_s["all"]
    assert rise.calm_s is not None
    assert rise.spans[-1].streams == STREAMS
    assert rise.cells()
    assert calm_s is not None
    assert spans[-1].streams == LEFT


def test_reload_that_nobody_hears_is_an_error(tmp_path: Path) -> None:
    config = tmp_path / "framelane.yaml"
    config.write_text("{}")
    with pytest.raises(BenchError, match=r"framelane reload: .*no daemon of this user runs"):
        reload(config)
