"""Streams that come, change and go in a running node: nothing of the others is touched, and nothing is left behind."""

from __future__ import annotations

import gc
import json
import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
from tests.models import tiny_models
from tests.neighbours.clips import ClipShape, draw_clip
from tests.waiting import wait_until

from framelane.config.yaml.load import parse_config
from framelane.core.errors import ConfigError, ModelError
from framelane.core.libc import malloc_trim
from framelane.node.daemon import make_node
from framelane.pipeline.local import LocalPipeline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from framelane.config.sections.schema import Config

WAIT_S = 60.0
BOX = tiny_models.Box((16.0, 16.0, 64.0, 96.0), class_id=0, score=0.9)
STEADY = "{id: steady, url: clip.mp4, loop: true, fps: 5}"
SMALL = "{path: tiny.onnx, size: [160, 128]}"
CYCLES = 500


class Rig:
    """A running node, and configurations of other streams for it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.app = make_node(self.config(STEADY), threading.Event())
        assert isinstance(self.app.pipeline, LocalPipeline)
        self.pipeline = self.app.pipeline
        self.results: list[tuple[str, int]] = []

    def config(self, *streams: str, late: str = "{path: bad.onnx}") -> Config:
        text = f"""
node: {{id: node}}
jsonl: {{path: {self.base}/out.jsonl, kinds: [detections, state]}}
models: {{tiny: {SMALL}, other: {{path: other.onnx, size: [160, 128]}}, bad: {{path: bad.onnx}}, late: {late}}}
streams: [{", ".join(streams)}]
"""
        return parse_config(text, self.base, {})

    def go_over_to(self, *streams: str) -> None:
        config = self.config(*streams)
        self.app.prepare(config)
        self.app.commit(config)

    def published(self, stream: str) -> int:
        counts = self.pipeline.meters.snapshot().streams
        return counts[stream].published if stream in counts else 0

    def wait_for_more(self, stream: str, count: int = 2) -> None:
        before = self.published(stream)
        wait_until(lambda: self.published(stream) >= before + count)

    @property
    def streams(self) -> list[str]:
        return [state.stream for state in self.app.board.streams()]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    for name in ("tiny.onnx", "other.onnx"):
        outputs = [np.asarray(tiny_models.yolov8([BOX]))]
        tiny_models.save(tmp_path / name, outputs, metadata=tiny_models.NAMES)
    (tmp_path / "bad.onnx").write_text("no model")
    draw_clip(tmp_path, "h264", ClipShape(160, 128, 20)).rename(tmp_path / "clip.mp4")
    made = Rig(tmp_path)
    made.app.start()
    made.wait_for_more("steady")
    yield made
    made.app.stop(10)


def test_stream_comes_and_goes(rig: Rig) -> None:
    rig.go_over_to(STEADY, "{id: new, url: clip.mp4, loop: true}")
    rig.wait_for_more("new")
    assert rig.streams == ["steady", "new"]
    rig.go_over_to(STEADY)
    assert (rig.streams, list(rig.pipeline.meters.snapshot().streams)) == (["steady"], ["steady"])
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name == "camera-new"])
    rig.wait_for_more("steady")
    assert (
        sum(rig.pipeline.meters.snapshot().streams["steady"].dropped[why] for why in ("failed", "stopping"))
        == 0
    )


def test_changed_stream_keeps_its_counts_and_goes_by_its_new_options(rig: Rig) -> None:
    rig.go_over_to(STEADY, "{id: new, url: clip.mp4, loop: true}")
    rig.wait_for_more("new")
    before = rig.pipeline.meters.snapshot().streams["new"]
    rig.go_over_to(STEADY, "{id: new, url: clip.mp4, loop: true, model: other, classes: [car]}")
    rig.wait_for_more("new")
    after = rig.pipeline.meters.snapshot()
    assert after.streams["new"].born == before.born
    assert after.streams["new"].published > before.published
    assert set(rig.app.loaded) == {"tiny", "other"}
    wait_until(lambda: rig.pipeline.meters.snapshot().models["other"].batches > 0)


@pytest.mark.parametrize(
    ("stream", "kind", "said"),
    [
        ("{id: new, url: clip.mp4, model: bad}", ModelError, "bad.onnx is not an ONNX model"),
        (
            "{id: new, url: clip.mp4, classes: [tre]}",
            ConfigError,
            "streams[1].classes[0]: unknown label `tre`",
        ),
    ],
)
def test_refused_change_touches_nothing(
    rig: Rig, stream: str, kind: type[ModelError | ConfigError], said: str
) -> None:
    cameras = rig.pipeline.streams.cameras
    with pytest.raises(kind) as caught:
        rig.app.prepare(rig.config(STEADY, stream))
    assert said in str(caught.value)
    assert (rig.streams, rig.pipeline.streams.cameras) == (["steady"], cameras)
    rig.wait_for_more("steady")


def test_model_of_a_refused_change_is_loaded_again_as_the_next_one_wants_it(rig: Rig) -> None:
    late = "{id: new, url: clip.mp4, loop: true, model: late"
    with pytest.raises(ConfigError):
        rig.app.prepare(rig.config(STEADY, f"{late}, classes: [tre]}}", late="{path: other.onnx, batch: 2}"))
    wanted = rig.config(STEADY, f"{late}}}", late="{path: other.onnx, batch: 4}")
    rig.app.prepare(wanted)
    rig.app.commit(wanted)
    rig.wait_for_more("new")
    assert (rig.app.loaded["late"].batch, rig.pipeline.pool.workers["late"].batcher.most) == (4, 4)


def test_change_after_the_stop_starts_nothing(rig: Rig) -> None:
    rig.app.stop(10)
    rig.go_over_to(STEADY, "{id: new, url: clip.mp4}")
    assert not [thread for thread in threading.enumerate() if thread.name == "camera-new"]


def test_memory_threads_and_tables_stay_flat_over_many_changes(rig: Rig) -> None:
    """Each cycle adds a stream under a name of its own, changes it and removes it; frames of it are on their way."""
    process = psutil.Process()
    sizes: list[tuple[int, int, int]] = []
    for cycle in range(CYCLES):
        url = f"{{id: s{cycle}, url: clip.mp4, realtime: false, loop: true"
        rig.go_over_to(STEADY, f"{url}}}")
        if cycle % 10 == 0:
            wait_until(lambda: rig.published(f"s{cycle}") > 0)  # noqa: B023 - called at once
        rig.go_over_to(STEADY, f"{url}, classes: [car]}}")
        rig.go_over_to(STEADY)
        if cycle % 100 == 99:
            wait_until(
                lambda: sum(thread.name.startswith("camera-") for thread in threading.enumerate()) == 1
            )
            gc.collect()
            # What the C library keeps is no leak.
            malloc_trim()
            sizes.append((process.memory_info().rss, threading.active_count(), process.num_fds()))
    assert (rig.streams, list(rig.pipeline.meters.snapshot().streams)) == (["steady"], ["steady"])
    assert max(b[0] - a[0] for a, b in pairwise(sizes[1:])) < 10e6, sizes
    assert sizes[-1][0] - sizes[1][0] < 10e6, sizes
    assert max(size[1] for size in sizes[1:]) <= sizes[0][1] + 1
    assert max(size[2] for size in sizes[1:]) <= sizes[0][2] + 4
    rig.wait_for_more("steady")


def opened(rig: Rig, stream: str) -> int:
    """Times that the stream was opened, as its states tell."""
    lines = (rig.base / "out.jsonl").read_text().splitlines()
    states = [json.loads(line) for line in lines if '"framelane.state/1"' in line]
    return sum((state["stream"], state["reason"]) == (stream, "opening") for state in states)


@pytest.mark.parametrize(
    "change",
    [
        "classes: [car]",
        "confidence: 0.95",
        "confidence: {person: 0.95}",
        "fps: 11",
        "publish: {empty: never}",
    ],
)
def test_change_of_what_is_wanted_leaves_the_camera_open(rig: Rig, change: str) -> None:
    new = "{id: new, url: clip.mp4, loop: true"
    rig.go_over_to(STEADY, f"{new}}}")
    rig.wait_for_more("new")
    cameras = rig.pipeline.streams.cameras
    before = rig.pipeline.meters.snapshot().streams["new"]
    rig.go_over_to(STEADY, f"{new}, {change}}}")
    wait_until(lambda: rig.pipeline.meters.snapshot().streams["new"].received >= before.received + 20)
    assert rig.pipeline.streams.cameras == cameras
    wait_until(lambda: opened(rig, "new") == 1)
    after = rig.pipeline.meters.snapshot().streams["new"]
    assert (after.dropped["stopping"], after.dropped["failed"], after.reconnects) == (0, 0, 0)


def test_what_is_wanted_changes_between_two_frames(rig: Rig) -> None:
    """The numbers go on, no frame is lost, and from one result on there is nothing to see."""
    new = "{id: new, url: clip.mp4, loop: true, realtime: false, fps: 200"
    rig.go_over_to(STEADY, f"{new}}}")
    rig.wait_for_more("new", 5)
    rig.go_over_to(STEADY, f"{new}, classes: [car]}}")
    rig.wait_for_more("new", 5)
    rig.app.stop(10)
    lines = [json.loads(line) for line in (rig.base / "out.jsonl").read_text().splitlines()]
    results = [
        line for line in lines if line["schema"] == "framelane.detections/1" and line["stream"] == "new"
    ]
    assert [result["seq"] for result in results] == list(range(1, len(results) + 1))
    assert sum(result["dropped"] for result in results) == 0
    seen = [bool(result["detections"]) for result in results]
    changed = seen.index(False)
    assert changed >= 5
    assert seen == [True] * changed + [False] * (len(seen) - changed)


@pytest.mark.parametrize(("media", "objects"), [("{}", None), ("{folder: media, min_free_bytes: 1MiB}", 64)])
def test_pixels_are_wanted_only_if_there_is_a_folder_for_snapshots(
    tmp_path: Path, media: str, objects: int | None
) -> None:
    outputs = [np.asarray(tiny_models.yolov8([BOX]))]
    tiny_models.save(tmp_path / "tiny.onnx", outputs, metadata=tiny_models.NAMES)
    text = f"""
jsonl: {{path: {tmp_path}/out.jsonl}}
media: {media}
models: {{tiny: {SMALL}}}
defaults: {{track: true, events: {{}}, snapshots: {{}}}}
streams: [{{id: lobby, url: clip.mp4}}]
"""
    app = make_node(parse_config(text, tmp_path, {}), threading.Event())
    app.start()
    try:
        assert isinstance(app.pipeline, LocalPipeline)
        (stream,) = app.pipeline.streams._streams.values()
        snapshots = stream.plan.snapshots
        assert objects == (None if snapshots is None else snapshots.objects)
    finally:
        app.stop(10)


def test_new_rate_holds_for_the_open_camera(rig: Rig) -> None:
    def inferred_in(seconds: float) -> int:
        before = rig.pipeline.meters.snapshot().streams["new"]
        time.sleep(seconds)
        after = rig.pipeline.meters.snapshot().streams["new"]
        assert after.decoded > before.decoded
        return after.inferred - before.inferred

    new = "{id: new, url: clip.mp4, loop: true"
    rig.go_over_to(STEADY, f"{new}, fps: 2}}")
    rig.wait_for_more("new")
    slow = inferred_in(3.0)
    rig.go_over_to(STEADY, f"{new}, fps: 20}}")
    fast = inferred_in(3.0)
    assert slow <= 8
    assert fast >= 3 * slow
    wait_until(lambda: opened(rig, "new") == 1)


def test_disabled_stream_is_shown_until_it_is_removed(rig: Rig) -> None:
    off = "{id: new, url: clip.mp4, enabled: false}"
    rig.go_over_to(STEADY, "{id: new, url: clip.mp4, loop: true}")
    rig.wait_for_more("new")
    rig.go_over_to(STEADY, off)
    states = {state.stream: (state.state, state.reason) for state in rig.app.board.streams()}
    assert (states["new"], list(rig.pipeline.meters.snapshot().streams)) == (
        ("disabled", "disabled"),
        ["steady"],
    )
    assert (rig.app.board.node().streams, rig.app.board.node().streams_disabled) == (2, 1)
    assert rig.app.health.readiness().ok
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name == "camera-new"])
    rig.go_over_to(STEADY, "{id: new, url: clip.mp4, loop: true}")
    rig.wait_for_more("new")
    rig.go_over_to(STEADY, off)
    rig.go_over_to(STEADY)
    assert rig.streams == ["steady"]
