"""What makes a load hold, and how the report of a GPU's pipeline says it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.neighbours.clips import ClipShape, draw_clip

from framelane.measure.errors import BenchError
from framelane.measure.figures import Percentiles
from framelane.measure.gpu_use import GpuUse
from framelane.measure.host import describe_host
from framelane.measure.report import show
from framelane.telemetry.gpus import GpuSample
from lab.daemon_run import DaemonRun
from lab.gpu_report import Feed, GpuPipelineReport, Step
from lab.relief import Relief
from lab.rise import Rise
from lab.spans import Span

FEED = Feed((Path("a.mp4"),), "h264", ((1920, 1080),), 30.0)


def run(**changes: Any) -> DaemonRun:
    body: dict[str, Any] = {
        "seconds": 10.0, "fps": 300.0, "streams_fps": {"cam00": 30.0}, "slowest_to_fastest": 1.0, "dropped": 0,
        "reasons": {}, "missing": 0, "late": 0, "arrival_ms": None, "publish_ms": Percentiles.of_ms([40.0] * 100),
        "rtcp_share": 0.0, "decoders": {"nvdec": 10}, "bunching": 0.1, "cpu_cores": 2.0, "cpu_ms_a_frame": 0.5,
        "rss_mb": 900.0, "peak_rss_mb": 950.0, "neighbours_cores": {"broker": 0.2},
    }  # fmt: skip
    return DaemonRun(**{**body, **changes})


def step(**changes: Any) -> Step:
    return Step(10, {"workers": 2}, 300.0, run(**changes))


def test_feed_takes_clips_of_several_sizes_and_names_them(tmp_path: Path) -> None:
    clips = [draw_clip(tmp_path, "h264", ClipShape(width, 256, 5, 25)) for width in (640, 320, 640)]

    feed = Feed.of(clips)

    assert feed.sizes_wh == ((320, 256), (640, 256))
    assert str(feed) == "3 clips h264 320x256, 640x256 at 25 frames/s"


def test_feed_refuses_clips_of_several_rates(tmp_path: Path) -> None:
    clips = [
        draw_clip(tmp_path, "h264", ClipShape(width, 256, 5, fps)) for width, fps in ((320, 25), (640, 10))
    ]

    with pytest.raises(
        BenchError, match=r"one codec and rate, but have \[\('h264', 10.0\), \('h264', 25.0\)\]"
    ):
        Feed.of(clips)


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({}, True),
        ({"publish_ms": Percentiles.of_ms([151.0] * 100)}, False),
        ({"dropped": 2}, True),
        ({"dropped": 4}, False),
        ({"missing": 4}, False),
        ({"fps": 298.0}, False),  # decoders that don't keep up play the clips too slowly, and drop nothing
    ],
)
def test_load_holds_when_all_goals_are_met(changes: dict[str, Any], holds: bool) -> None:  # noqa: FBT001
    assert holds == step(**changes).holds


def test_load_does_not_hold_when_the_daemon_failed() -> None:
    assert not Step(10, {}, 300.0, error="it ended").holds


def test_report_tells_all_steps_and_the_share_of_the_ceilings(capsys: pytest.CaptureFixture[str]) -> None:
    steps = [step(), Step(20, {"workers": 2}, 600.0, error="it ended")]
    report = GpuPipelineReport(
        describe_host(), "", FEED, live=False, broker="mosquitto", goal=10, steps=steps, best=steps[0],
        ceilings={"decode": 600.0},
    )  # fmt: skip

    show(report)

    text = capsys.readouterr().out
    assert "FAILED" in text
    assert "nvdec 10" in text
    body = orjson.loads(orjson.dumps(report.as_dict(), default=str))
    assert body["of_ceilings"] == {"decode": 0.5}
    assert [goal["met"] for goal in body["goals"]] == [True]


def test_use_of_a_gpu_sums_up_what_the_driver_said() -> None:
    samples = [
        GpuSample(0, "NVIDIA X", 0.5, 2_000_000, 9_000_000, 60.0, 0.2, 300.0, ("sw_power_cap",)),
        GpuSample(0, "NVIDIA X", 0.7, 3_000_000, 9_000_000, None, None, 320.0, ()),
    ]

    use = GpuUse.of(samples)

    assert use is not None
    assert pytest.approx(0.6) == use.utilization
    assert (use.decoder_utilization, use.memory_mb, use.power_w) == (0.2, 3.0, 310.0)
    assert (use.temperature_c, use.throttle_reasons) == (60.0, ("sw_power_cap",))
    assert GpuUse.of([]) is None


def test_load_of_live_cameras_does_not_hold_by_the_daemons_own_clock() -> None:
    live = {"limit_ms": 60.0, "live": True}

    assert not Step(10, {}, 300.0, run(rtcp_share=0.5), **live).holds  # type: ignore[arg-type]
    assert Step(10, {}, 300.0, run(rtcp_share=1.0), **live).holds  # type: ignore[arg-type]
    assert not Step(10, {}, 300.0, run(), limit_ms=30.0).holds


def test_report_tells_how_streams_came_up_and_how_load_was_taken_off() -> None:
    spans = (Span(1.0, 1.0, 10, 4, 0, Percentiles.of_ms([20.0]), 1.0, 100.0),)
    rise = Rise("start", 4, 2.0, {"50 %": 1.0, "95 %": 2.0, "all": None}, None, spans)
    relief = Relief(run(spans=spans), 20, 10, 0.4, 3.0, spans)
    report = GpuPipelineReport(
        describe_host(), "", FEED, live=True, broker="mosquitto", goal=10, rises=[rise], relief=relief
    )

    assert [goal.met for goal in report.goals] == [False, True]
    titles = [section.title for section in report.sections()]
    assert titles[:3] == ["20 streams", "10 of them, from the reload on", "start, over time"]
    orjson.dumps(report.as_dict(), default=str)
