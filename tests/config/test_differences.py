"""What differs between two configurations, and what of it needs a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from framelane.config.differences import restart_keys, stream_changes
from framelane.config.keypath import dotted
from framelane.config.load import parse_config

if TYPE_CHECKING:
    from pathlib import Path

    from framelane.config.schema import Config

GOOD = """
node: {id: gate, stats_s: 10}
mqtt: {url: "mqtts://h", username: u, password: hunter2hunter2, tls: {verify: true}}
models: {yolox: {path: m.onnx, batch: 1}, idle: {path: m.onnx}}
defaults: {fps: 7}
streams:
  - {id: a, url: "rtsp://h/a"}
  - {id: b, url: "rtsp://h/b", fps: 1}
  - {id: c, url: "rtsp://h/c", enabled: false}
"""


@pytest.fixture
def before(base: Path) -> Config:
    return parse_config(GOOD, base, {})


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("fps: 1", "fps: 2", ([], ["b"], [])),
        ("fps: 7", "fps: 8", ([], ["a"], [])),
        ("fps: 1}", "fps: 7}", ([], ["b"], [])),
        ("rtsp://h/a", "rtsp://u:hunter3hunter3@h/a", ([], ["a"], [])),
        ("enabled: false", "enabled: true", (["c"], [], [])),
        ("fps: 1}", "fps: 1, enabled: false}", ([], [], ["b"])),
        ("id: a", "id: d", (["d"], [], ["a"])),
        ("stats_s: 10", "stats_s: 5", ([], [], [])),
        ("{yolox: {path: m.onnx, batch: 1}, idle: {path: m.onnx}}",
         "{idle: {path: m.onnx}, yolox: {path: m.onnx, batch: 1}}", ([], ["a", "b"], [])),
    ],
)  # fmt: skip
def test_stream_changes(
    before: Config, base: Path, old: str, new: str, expected: tuple[list[str], list[str], list[str]]
) -> None:
    changes = stream_changes(before, parse_config(GOOD.replace(old, new), base, {}))
    found = [stream.id for stream in changes.added], [stream.id for stream in changes.changed]
    assert (*found, list(changes.removed)) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("fps: 1", "fps: 2", []),
        ("stats_s: 10", "stats_s: 5", ["node.stats_s"]),
        ("verify: true", "verify: false", ["mqtt.tls.verify"]),
        ("hunter2hunter2", "hunter3hunter3", ["mqtt.password"]),
        ("batch: 1", "batch: 2", ["models.yolox.batch"]),
        ("idle: {path: m.onnx}", "idle: {path: m.onnx, batch: 4}", []),
        ("idle: {path: m.onnx}", "new: {path: m.onnx}", []),
        ("node: {id: gate, stats_s: 10}", "node: {id: door}\nworkers: 2\ngpus: [1]\njsonl: {path: '-'}",
         ["node.id", "jsonl", "gpus", "workers"]),
        ("defaults:", "streams_dir: streams.d\ndefaults:", ["streams_dir"]),
    ],
)  # fmt: skip
def test_restart_keys(before: Config, base: Path, old: str, new: str, expected: list[str]) -> None:
    after = parse_config(GOOD.replace(old, new), base, {})
    assert [dotted(key) for key in restart_keys(before, after, {"yolox": before.models["yolox"]})] == expected
