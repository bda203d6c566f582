"""Pictures sent to whole daemons while these watch their streams."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import av
import cv2
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.contract import Score
from tests.e2e.daemon import Daemon, free_port

from framelane.demo.scene import CLASS_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Material

pytestmark = pytest.mark.e2e

TOKEN = "bearer-of-tests"
WAIT_S = 60.0
FRAMES = 40


def config(material: Material, port: int, **sections: Any) -> dict[str, Any]:
    return {
        "node": {"shutdown_s": 5},
        "log": {"format": "json"},
        "jsonl": {"path": "/dev/null"},
        "http": {"listen": f"127.0.0.1:{port}", "token": TOKEN},
        "models": {
            "demo": {"path": str(material.demo), "confidence": 0.4},
            "tiny": {"path": str(material.tiny), "size": [160, 128]},
        },
        "streams": [
            {"id": "street", "url": str(material.street), "loop": True, "fps": 5, "model": ["demo", "tiny"]},
            {"id": "plain", "url": str(material.plain), "loop": True, "fps": 5, "model": "tiny"},
        ],
        **sections,
    }


def frames(clip: Path) -> Iterator[bytes]:
    """Pictures of a clip, in each of the formats in turn."""
    with av.open(str(clip)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index == FRAMES:
                return
            suffix = (".jpg", ".png", ".webp")[index % 3]
            yield cv2.imencode(suffix, frame.to_ndarray(format="bgr24"), QUALITY[suffix])[1].tobytes()


QUALITY = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, 98], ".png": [], ".webp": [cv2.IMWRITE_WEBP_QUALITY, 98]}
MEDIA = ("image/jpeg", "image/png", "image/webp")


@pytest.mark.parametrize("workers", [1, 2])
def test_pictures_are_looked_at_beside_the_streams(workers: int, material: Material, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        Daemon(tmp_path, config(material, port, workers=workers)) as daemon,
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=WAIT_S) as client,
    ):
        daemon.wait_for_event("started")

        def ask(numbered: tuple[int, bytes]) -> Any:
            index, data = numbered
            return client.post("/api/detect", content=data, headers={"Content-Type": MEDIA[index % 3]})

        with ThreadPoolExecutor(3) as pool:
            replies = list(pool.map(ask, enumerate(frames(material.street))))
        score = Score()
        for reply, truth in zip(replies, material.truth.frames, strict=False):
            assert reply.status_code == 200, reply.text
            assert reply.json()["model"]["name"] == "demo"
            score.add(reply.json()["detections"], truth, CLASS_NAMES)
        assert score.recall > 0.8
        assert score.precision > 0.8
        assert score.mean_iou > 0.75
        assert client.post("/api/detect", content=b"", headers={"Authorization": "none"}).status_code == 401
        counts = {
            sample.name: sample.value
            for family in text_string_to_metric_families(client.get("/metrics").text)
            for sample in family.samples
            if sample.name.startswith("framelane_detect_request")
        }
        assert counts["framelane_detect_requests_total"] == FRAMES
        assert counts["framelane_detect_request_seconds_count"] == FRAMES
        states = {stream["id"]: stream["state"] for stream in client.get("/api/status").json()["streams"]}
        assert states == {"street": "live", "plain": "live"}
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
