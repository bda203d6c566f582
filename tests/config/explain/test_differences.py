"""Differences between two configurations, and which of them need a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from framelane.config.explain.differences import disabled_streams, restart_keys, stream_changes
from framelane.config.keypath import dotted
from framelane.config.yaml.load import parse_config

if TYPE_CHECKING:
    from pathlib import Path

    from framelane.config.sections.schema import Config

GOOD = """
node: {id: gate, stats_s: 10}
mqtt: {url: "mqtts://h", username: u, password: hunter2hunter2, tls: {verify: true}}
models: {yolox: {path: m.onnx, batch: 1}, idle: {path: m.onnx}}
media: {folder: m, s3: {bucket: cams, access_key: a, secret_key: s1-4711-0815, prefix: site}}
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


def test_snapshot_stream_is_reopened_for_another_rate(base: Path) -> None:
    """It is polled `fps` times per second."""
    snapshots = GOOD.replace("rtsp://h/b", "http://h/b.jpg")
    before, after = (
        parse_config(text, base, {}) for text in (snapshots, snapshots.replace("fps: 1", "fps: 2"))
    )
    assert stream_changes(before, after).reopened == {"b"}


@pytest.mark.parametrize(
    ("old", "new", "reopened"),
    [
        ("fps: 1", "fps: 2, classes: [car], confidence: 0.5, crop: [0, 0, 1, 0.5]", set()),
        ("fps: 1", "fps: 1, publish: {empty: never}", set()),
        ("fps: 1", "fps: 1, track: true, lines: {x: {points: [[0, 0], [1, 1]]}}", set()),
        ("fps: 1", "fps: 1, track: true, zones: {x: {polygon: [[0, 0], [1, 1], [0, 1]]}}, events: {}", set()),
        ("fps: 7", "fps: 8", set()),
        ("fps: 1", 'fps: 1, preview_url: "rtsp://h/small"', set()),
        ("fps: 1", "fps: 2, late_ms: 400", {"b"}),
        ("rtsp://h/a", "rtsp://h/b", {"a"}),
        ("fps: 7", "fps: 7, model: idle", {"a", "b"}),
    ],
)
def test_cameras_are_opened_again_only_for_what_concerns_them(
    before: Config, base: Path, old: str, new: str, reopened: set[str]
) -> None:
    assert stream_changes(before, parse_config(GOOD.replace(old, new), base, {})).reopened == reopened


@pytest.mark.parametrize(
    ("old", "new", "disabled", "forgotten"),
    [
        ("fps: 7", "fps: 8", ["c"], []),
        ("fps: 1}", "fps: 1, enabled: false}", ["b", "c"], []),
        ("enabled: false", "enabled: true", [], []),
        ("id: c", "id: d", ["d"], ["c"]),
    ],
)
def test_disabled_streams_are_known(
    before: Config, base: Path, old: str, new: str, disabled: list[str], forgotten: list[str]
) -> None:
    changes = stream_changes(before, parse_config(GOOD.replace(old, new), base, {}))
    assert (list(changes.disabled), list(changes.forgotten)) == (disabled, forgotten)


def test_other_shards_streams_are_not_called_disabled(base: Path) -> None:
    listed = ", ".join(f'{{id: s{number}, url: "rtsp://h/{number}"}}' for number in range(9))
    off = '{id: off, url: "rtsp://h/off", enabled: false}'
    text = f"mqtt: {{url: 'mqtt://h'}}\nmodels: {{m: {{path: m.onnx}}}}\nstreams: [{listed}, {off}]\n"
    shards = [
        disabled_streams(parse_config(f"shard: {{index: {index}, count: 3}}\n{text}", base, {}))
        for index in range(3)
    ]
    assert sorted(shards) == [(), (), ("off",)]


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
        ("defaults:", "journal: {folder: j, max_age_s: 60}\ndefaults:", ["journal.folder", "journal.max_age_s"]),
        ("defaults:", "onvif: {enabled: true}\ndefaults:", ["onvif.enabled"]),
        ("bucket: cams, access_key: a, secret_key: s1-4711-0815",
         "bucket: gates, access_key: b, secret_key: s2-4711-0815, endpoint: 'https://h', tls: {verify: false}", []),
        ("prefix: site", "prefix: gate", ["media.s3.prefix"]),
        ("prefix: site", "prefix: site, public_url: 'https://h'", ["media.s3.public_url"]),
        (", s3: {bucket: cams, access_key: a, secret_key: s1-4711-0815, prefix: site}", "", ["media.s3"]),
        ("folder: m,", "folder: n,", ["media.folder"]),
    ],
)  # fmt: skip
def test_restart_keys(before: Config, base: Path, old: str, new: str, expected: list[str]) -> None:
    after = parse_config(GOOD.replace(old, new), base, {})
    assert [dotted(key) for key in restart_keys(before, after, {"yolox": before.models["yolox"]})] == expected
