"""Who gets which streams, and what a worker's configuration is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from framelane.config.yaml.load import parse_config
from framelane.fleet.share import Share, config_of, deal, divide

if TYPE_CHECKING:
    from pathlib import Path

    from framelane.config.sections.schema import Config


def config(tmp_path: Path, streams: int, rest: str = "") -> Config:
    (tmp_path / "m.onnx").touch()
    listed = ", ".join(f'{{id: s{number}, url: "rtsp://127.0.0.1/{number}"}}' for number in range(streams))
    text = f"""
node: {{id: gate, exit_when_ended: true, shutdown_s: 10}}
mqtt: {{url: "mqtt://127.0.0.1", username: u, password: hunter2hunter2}}
http: {{listen: "127.0.0.1:8080"}}
models: {{m: {{path: m.onnx}}}}
streams: [{listed}, {{id: "off", url: "rtsp://127.0.0.1/off", enabled: false}}]
{rest}
"""
    return parse_config(text, tmp_path, {})


@pytest.mark.parametrize(
    ("streams", "rest", "gpu", "expected"),
    [
        (5, "", True, [(None, 5)]),
        (5, "workers: 2", False, [(None, 3), (None, 2)]),
        (5, "gpus: [0, 1]", False, [(None, 5)]),
        (2, "workers: 4", False, [(None, 1), (None, 1), (None, 0), (None, 0)]),
        (9, "gpus: [2, 0]", True, [(2, 5), (0, 4)]),
        (9, "workers: 2\ngpus: [0, 1]", True, [(0, 3), (1, 2), (0, 2), (1, 2)]),
    ],
)
def test_streams_are_divided_evenly_over_workers_and_gpus(
    tmp_path: Path, streams: int, rest: str, gpu: object, expected: list[tuple[int | None, int]]
) -> None:
    shares = divide(config(tmp_path, streams, rest), lambda: None if gpu else "no GPU")
    assert [(share.gpu, len(share.streams)) for share in shares] == expected
    assert sorted(stream for share in shares for stream in share.streams) == [f"s{n}" for n in range(streams)]
    assert [share.number for share in shares] == list(range(len(shares)))


def test_neighbours_in_the_file_go_to_different_workers(tmp_path: Path) -> None:
    shares = divide(config(tmp_path, 5, "workers: 2"), lambda: "no GPU")
    assert [share.streams for share in shares] == [("s0", "s2", "s4"), ("s1", "s3")]


def test_worker_runs_its_streams_alone_under_a_name_of_its_own(tmp_path: Path) -> None:
    whole = config(tmp_path, 4, "workers: 2")
    own = config_of(whole, Share(1, None, ("s1", "s3")), left_out={"s3"})
    assert [stream.id for stream in own.streams if stream.enabled] == ["s1"]
    assert [stream.id for stream in own.streams] == [stream.id for stream in whole.streams]
    assert own.mqtt is not None
    assert own.mqtt.client_id == "framelane-gate-w1"
    assert own.mqtt.password is not None
    assert own.mqtt.password.get_secret_value() == "hunter2hunter2"
    assert (own.http.listen, own.node.exit_when_ended, own.workers, own.gpus) == (None, False, 1, [0])
    assert own.node.shutdown_s < whole.node.shutdown_s
    assert own.models["m"].slots == max(len(os.sched_getaffinity(0)) // 2, 1)


def test_worker_marks_uploads_and_has_no_secret_for_them(tmp_path: Path) -> None:
    s3 = "{bucket: cams, access_key: a, secret_key: hunter3hunter3, public_url: 'https://cdn.example'}"
    whole = config(tmp_path, 4, f"workers: 2\nmedia: {{folder: m, s3: {s3}}}")
    own = config_of(whole, Share(1, None, ("s1",))).media
    assert own.s3 is not None
    assert (own.s3.bucket, own.s3.public_url, own.s3.secret_key) == ("cams", "https://cdn.example", None)
    assert own.url == "http://127.0.0.1:8080"


def test_worker_on_a_gpu_keeps_the_slots_of_the_configuration(tmp_path: Path) -> None:
    whole = config(tmp_path, 4, "workers: 2")
    assert config_of(whole, Share(0, 3, ("s0",))).models["m"].slots == 0


def test_streams_stay_where_they_are_when_others_come_and_go(tmp_path: Path) -> None:
    shares = divide(config(tmp_path, 5, "workers: 3"), lambda: "no GPU")
    assert [share.streams for share in shares] == [("s0", "s3"), ("s1", "s4"), ("s2",)]
    fewer = config(tmp_path, 5, "workers: 3")
    left = [stream for stream in fewer.streams if stream.id in ("s1", "s4", "s3")]
    shares = deal(shares, fewer.model_copy(update={"streams": left}))
    assert [share.streams for share in shares] == [("s3",), ("s1", "s4"), ()]
    shares = deal(shares, config(tmp_path, 7, "workers: 3"))
    assert [share.streams for share in shares] == [("s3", "s2", "s6"), ("s1", "s4"), ("s0", "s5")]
