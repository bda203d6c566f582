"""Streams are divided among daemons evenly and stably; few move when a daemon is added."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from framelane.config.shard import apply_shard, shard_of
from framelane.config.yaml.load import check_text, parse_config

if TYPE_CHECKING:
    from pathlib import Path

    from framelane.config.sections.schema import Config

STREAMS = [f"camera-{number:03}" for number in range(500)]
TEXT = """
{shard}
mqtt: {{url: "mqtt://127.0.0.1"}}
models: {{yolox: {{path: m.onnx}}}}
streams:
"""


def config_of(base: Path, shard: str, streams: int = 20) -> Config:
    lines = [f'  - {{id: {stream}, url: "rtsp://10.0.0.7/{stream}"}}\n' for stream in STREAMS[:streams]]
    return parse_config(TEXT.format(shard=shard) + "".join(lines), base, {"INDEX": "1"})


def enabled(config: Config) -> set[str]:
    return {stream.id for stream in config.streams if stream.enabled}


@pytest.mark.parametrize("count", [2, 3, 5, 8, 16])
def test_shards_are_balanced_as_chance_would_have_it(count: int) -> None:
    """Chi-square below the 99.9th percentile of the most degrees of freedom tried; a biased hash is far beyond."""
    found = Counter(shard_of(stream, count) for stream in STREAMS)
    expected = len(STREAMS) / count
    chi_square = sum((found[shard] - expected) ** 2 / expected for shard in range(count))
    limits = {2: 10.83, 3: 13.82, 5: 18.47, 8: 24.32, 16: 37.70}
    assert chi_square < limits[count], found
    assert max(found.values()) < 1.5 * expected


@pytest.mark.parametrize("count", [1, 2, 4, 9])
def test_a_new_shard_takes_its_share_and_no_other_stream_moves(count: int) -> None:
    before = {stream: shard_of(stream, count) for stream in STREAMS}
    after = {stream: shard_of(stream, count + 1) for stream in STREAMS}
    moved = [stream for stream in STREAMS if before[stream] != after[stream]]
    assert {after[stream] for stream in moved} == {count}
    assert 0.6 * len(STREAMS) / (count + 1) < len(moved) < 1.4 * len(STREAMS) / (count + 1)


def test_a_stream_has_the_shard_it_always_had() -> None:
    """Released values: another hash would move cameras at an upgrade."""
    assert [shard_of(stream, 5) for stream in ("lobby", "yard", "gate-01", "camera-007")] == [3, 1, 4, 1]


def test_shards_have_every_stream_once(base: Path) -> None:
    shares = [enabled(config_of(base, f"shard: {{index: {index}, count: 3}}")) for index in range(3)]
    assert sorted(stream for share in shares for stream in share) == STREAMS[:20]
    assert enabled(config_of(base, "")) == set(STREAMS[:20])


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("node: {id: site}\nshard: {index: 1, count: 3}", "site-1"),
        ("node: {id: site-1}\nshard: {index: 1, count: 3}", "site-1"),
        ('node: {id: site}\nshard: {index: "${INDEX}", count: 3}', "site-1"),
        ("node: {id: site}\nshard: {index: 0, count: 1}", "site"),
    ],
)
def test_each_shard_is_a_node_of_its_own(base: Path, text: str, node: str) -> None:
    assert config_of(base, text).node.id == node


@pytest.mark.parametrize(
    ("host", "index"),
    [
        ("framelane-0", 0),
        ("framelane-12.framelane.cams.svc", 12),
        ("edge-gpu-2", 2),
        ("gate2", None),
        ("gate", None),
    ],
)
def test_index_is_the_number_at_the_end_of_the_host_name(base: Path, host: str, index: int | None) -> None:
    """As a StatefulSet names its pods."""
    written = config_of(base, "shard: {index: 0, count: 16}").model_copy(
        update={"streams": config_of(base, "").streams}
    )
    written = written.model_copy(update={"shard": written.shard.model_copy(update={"index": None})})
    config, problems = apply_shard(written, host)
    if index is None:
        assert [problem.path for problem in problems] == [("shard", "index")]
    else:
        assert enabled(config) == {stream for stream in STREAMS[:20] if shard_of(stream, 16) == index}


def test_a_shard_beyond_the_count_has_no_streams(base: Path) -> None:
    text = TEXT.format(shard="shard: {index: 3, count: 3}") + '  - {id: a, url: "rtsp://10.0.0.7/1"}\n'
    report = check_text(text, base, {})
    assert enabled(report.require()) == set()
    assert "streams: no stream is enabled in this shard" in [str(each) for each in report.warnings]
