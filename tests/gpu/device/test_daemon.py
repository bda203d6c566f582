"""The whole daemon on a GPU: cameras, NVDEC, several models on one card, workers, a real broker."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.contract import Score, unix_s
from tests.e2e.daemon import Daemon, free_port
from tests.gpu.device.here import needs_gpu, needs_nvdec

from framelane.demo.rtsp import CameraSpec, RtspServer
from framelane.demo.scene import CLASS_NAMES
from lab.neighbors import Site

if TYPE_CHECKING:
    from pathlib import Path

    from framelane.config.sections.model import ModelConfig
    from framelane.demo.clips import ClipTruth
    from lab.delivery_record import Received

pytestmark = [pytest.mark.gpu, pytest.mark.e2e, needs_gpu, needs_nvdec, pytest.mark.timeout(580)]

START_S = 300.0
RUN_S = 8.0


def model_section(model: ModelConfig, **more: Any) -> dict[str, Any]:
    given = model.model_dump(include={"path", "backend", "batch", "slots"})
    return {**given, "engine": {"folder": model.engine.folder}, "confidence": 0.4, **more}


def run(folder: Path, config: dict[str, Any], ids: list[str], while_it_runs: Any = None) -> Received:
    """Run the daemon for a while and stop it; what its subscriber got."""
    with Site("auto") as site:
        settings = {
            "node": {"id": "bench", "stats_s": 1},
            "log": {"format": "json"},
            "mqtt": {"url": site.url},
            **config,
        }
        site.subscriber.open()
        with Daemon(folder, settings) as daemon:
            daemon.wait_for_event("started", timeout_s=START_S)
            deadline_s = time.monotonic() + 60
            while set(ids) - {name for name, count in site.subscriber.frames().items() if count > 3}:
                assert daemon.running, daemon.log
                assert time.monotonic() < deadline_s, f"{site.subscriber.frames()}\n{daemon.log}"
                time.sleep(0.2)
            time.sleep(RUN_S)
            if while_it_runs is not None:
                while_it_runs()
            daemon.signal(signal.SIGTERM)
            assert daemon.wait() == 0, daemon.log
            assert daemon.events("uncaught") == []
        return site.subscriber.close()


def test_two_models_on_one_card_see_what_the_cameras_show(
    tmp_path: Path, demo_model: ModelConfig, footage: Path, truth: ClipTruth
) -> None:
    port, results = free_port(), tmp_path / "results.jsonl"
    pages: list[str] = []

    def look() -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
            pages.append(page.read().decode())

    with RtspServer([CameraSpec(name, footage / f"{name}.mp4") for name in ("h264", "hevc")]) as cameras:
        config = {
            "jsonl": {"path": str(results)},
            "http": {"listen": f"127.0.0.1:{port}"},
            "models": {
                "demo": model_section(demo_model),
                "people": model_section(demo_model, confidence=0.6),
            },
            "streams": [
                {"id": "rtsp-h264", "url": cameras.url("h264"), "model": "demo"},
                {"id": "rtsp-hevc", "url": cameras.url("hevc"), "model": ["demo", "people"]},
                {"id": "ten-bit", "url": str(footage / "hevc10.mp4"), "loop": True, "model": "people"},
                {"id": "odd", "url": str(footage / "h264-422.mp4"), "loop": True, "model": "demo"},
                {
                    "id": "far",
                    "url": str(footage / "h264.mp4"),
                    "loop": True,
                    "decode": "cpu",
                    "model": "demo",
                },
            ],
        }
        ids = ["rtsp-h264", "rtsp-hevc", "ten-bit", "odd", "far"]
        received = run(tmp_path, config, ids, look)
        score = Score()
        for line in results.read_text().splitlines():
            message = json.loads(line)
            if message["stream"] == "rtsp-h264":
                number = cameras.camera("h264").frame_at(unix_s(message["captured_at"]), 0.02)
                if number is not None:
                    score.add(message["detections"], truth.frames[number], CLASS_NAMES)

    assert [received.streams[name].missing for name in ids] == [0] * 5
    assert all(received.streams[name].frames > 30 for name in ids)
    assert received.decoders["rtsp-h264"] == received.decoders["rtsp-hevc"] == "nvdec"
    assert received.decoders["ten-bit"] == "nvdec"
    assert received.decoders["far"] == "cpu"
    assert received.decoders["odd"] == "cpu"  # no NVDEC before Blackwell's reads 4:2:2
    assert (score.recall >= 0.8, score.precision >= 0.8, score.mean_iou >= 0.8) == (True, True, True), score
    assert "framelane_gpu_memory_used_bytes" in pages[0]


def test_two_workers_share_the_streams_of_one_card(
    tmp_path: Path, demo_model: ModelConfig, footage: Path
) -> None:
    ids = [f"cam{number:02d}" for number in range(6)]
    streams = [{"id": name, "url": str(footage / "h264.mp4"), "loop": True} for name in ids]
    config = {"models": {"demo": model_section(demo_model)}, "workers": 2, "streams": streams}
    received = run(tmp_path, config, ids)

    assert sorted(received.streams) == ids
    assert [received.streams[name].missing for name in ids] == [0] * 6
    assert set(received.decoders.values()) == {"nvdec"}
