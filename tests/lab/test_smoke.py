"""Every benchmark once, on a tiny clip and a model that finds nothing: that they run, not how fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import numpy as np
import orjson
import pytest
from tests.neighbours.clips import ClipShape, draw_clip

from framelane.config.sections.model import ModelConfig
from framelane.config.yaml.load import check_text
from framelane.core.errors import SourceError
from framelane.demo.rtsp import CameraSpec, RtspServer
from framelane.gpu.availability import why_no_nvdec
from framelane.inference.model import load_model
from framelane.measure.decode import bench_decode
from framelane.measure.decode_source import Decoding, Parser
from framelane.measure.engine import Shape, bench_engine, bench_shapes
from framelane.measure.errors import BenchError
from framelane.measure.pipeline import bench_pipeline
from framelane.measure.report import show
from framelane.sources.decoding.decoder import DecoderChoice
from lab.busy_model import add_objects
from lab.clip import SIZE_WH, retimed
from lab.null_model import SIDE, write_null_model
from lab.receive import Way, receive

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
models: {{null: {{path: {model}}}}}
jsonl: {{path: {folder}/results.jsonl}}
defaults: {{loop: true, realtime: true}}
streams:
  - {{id: one, url: {clip}}}
  - {{id: two, url: {clip}}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def clip(folder: Path) -> Path:
    return draw_clip(folder, "h264", ClipShape(frames=50))


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    return write_null_model(folder / "null.onnx")


def test_engine_measures_every_way(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = bench_engine(model, batches=(1, 3), threads=2, seconds=0.02)

    assert [Shape(1, 1, 1), Shape(1, 2, 1), Shape(1, 1, 2)] == [each.shape for each in report.variants[:3]]
    assert len(report.variants) == 6
    assert report.best in report.variants
    assert all(each.images_s > 0 and each.latency_ms is not None for each in report.variants)
    show(report)
    assert "best" in capsys.readouterr().out
    orjson.dumps(report.as_dict())


def test_engine_measures_some_ways(model: Path) -> None:
    shapes = [Shape(1), Shape(2, 2)]

    assert bench_shapes(model, shapes, 0.04).shape in shapes


@pytest.mark.parametrize("parser", ["product", "ffmpeg"])
def test_decode_loops_files_as_fast_as_that_goes(clip: Path, parser: Parser) -> None:
    report = bench_decode([str(clip)], streams=2, seconds=0.5, decoding=Decoding(parser))

    assert (2, False, parser) == (report.streams, report.live, report.parser)
    assert report.frames > 50
    assert report.cpu_ms_a_frame > 0
    assert report.interval_ms is not None
    assert report.sections()
    orjson.dumps(report.as_dict())


@pytest.mark.parametrize("parser", ["product", "ffmpeg"])
def test_decode_says_what_is_wrong_with_one_of_its_streams(
    clip: Path, tmp_path: Path, parser: Parser
) -> None:
    with pytest.raises(SourceError, match="no such file"):
        bench_decode([str(clip), str(tmp_path / "gone.mp4")], seconds=0.2, decoding=Decoding(parser))


def test_decode_wants_something_to_decode() -> None:
    with pytest.raises(BenchError, match="nothing to decode"):
        bench_decode([], seconds=0.1)


@pytest.mark.parametrize("workers", [1, 2])
def test_pipeline_measures_every_stage(clip: Path, model: Path, folder: Path, workers: int) -> None:
    text = CONFIG.format(model=model, folder=folder, clip=clip) + f"workers: {workers}\n"
    config = check_text(text, folder, {}).require()

    report = bench_pipeline(config, seconds=1.0, warmup_s=0.5)

    assert [stream.stream for stream in report.streams] == ["one", "two"]
    assert all(stream.fps_published > 0 and stream.latency_ms is not None for stream in report.streams)
    assert pytest.approx(sum(stream.fps_inferred for stream in report.streams)) == report.total.fps_inferred
    assert report.delivered > 0
    assert report.rss_mb > 0
    assert len(report.sections()) == 3
    orjson.dumps(report.as_dict())


def test_decode_adds_up_what_processes_saw(clip: Path) -> None:
    report = bench_decode([str(clip)], streams=3, seconds=0.5, processes=2)

    assert (report.processes, report.streams, report.decoder, report.gpu) == (2, 3, "cpu", None)
    assert report.frames_s == pytest.approx(report.frames / report.seconds)
    assert report.slowest_to_fastest is not None
    assert 0 < report.seconds <= 0.6
    orjson.dumps(report.as_dict())


def test_decode_says_which_file_is_missing_when_a_process_reads_it(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no such file"):
        bench_decode([str(clip), str(tmp_path / "gone.mp4")], seconds=0.2, processes=2)


@pytest.mark.skipif(why_no_nvdec() is None, reason="this host has NVDEC")
def test_decode_says_why_nvdec_can_not_be_had(clip: Path) -> None:
    with pytest.raises(BenchError, match="NVIDIA"):
        bench_decode([str(clip)], seconds=0.2, decoding=Decoding(choice=DecoderChoice(0)))


def test_retimed_clip_has_the_benchmarks_size_and_rate(clip: Path, tmp_path: Path) -> None:
    made = retimed(clip, tmp_path / "made.mp4", frames=60)

    with av.open(str(made)) as container:
        stream = container.streams.video[0]
        frames = [frame.pts for frame in container.decode(stream)]
        rate = float(stream.average_rate or 0)
    assert ((stream.width, stream.height), rate, len(frames)) == (SIZE_WH, 25.0, 60)


@pytest.mark.parametrize("objects", [2, 8, 12])
def test_busy_model_scores_the_same_anchors_in_every_picture(folder: Path, model: Path, objects: int) -> None:
    busy = folder / "busy.onnx"
    add_objects(model, busy, objects)
    loaded = load_model("busy", ModelConfig(path=str(busy), backend="onnxruntime"))
    (output,) = loaded.infer(np.zeros((2, 3, SIDE, SIDE), np.float32))

    assert (output[:, 4] > 0.5).sum(axis=1).tolist() == [objects * 16] * 2


@pytest.mark.parametrize("way", ["ours", "ffmpeg"])
def test_receive_counts_the_pictures_of_all_cameras(clip: Path, way: Way) -> None:
    with RtspServer([CameraSpec("one", clip), CameraSpec("two", clip)]) as server:
        found = receive(way, [server.url("one"), server.url("two")], 0.8)
    assert 20 <= found.pictures <= 80
    assert found.cpu_ms > 0
    assert found.threads >= 2
