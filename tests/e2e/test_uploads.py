"""A daemon that uploads: killed while its server is away, with one process and with two."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from tests.e2e.daemon import Daemon, free_port
from tests.neighbours.s3_server import SECRET_KEY, S3Server
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Material

pytestmark = pytest.mark.e2e

PUBLIC = "https://cdn.example/cams"
LINES = {"middle": {"points": [[0.5, 0.0], [0.5, 1.0]]}}
ENVIRONMENT = {"S3_SECRET": SECRET_KEY, "http_proxy": "", "HTTP_PROXY": ""}


def config(material: Material, folder: Path, s3: dict[str, Any], port: int, workers: int) -> dict[str, Any]:
    return {
        "node": {"id": "gate-01", "stats_s": 1, "shutdown_s": 4},
        "log": {"format": "json"},
        "jsonl": {"path": "-", "kinds": ["events", "stats", "status"]},
        "http": {"listen": f"127.0.0.1:{port}"},
        "journal": {"folder": str(folder / "journal")},
        "media": {"folder": str(folder / "media"), "min_free_bytes": "1MiB", "s3": s3},
        "workers": workers,
        "models": {"street": {"path": str(material.demo)}},
        "defaults": {
            "track": True,
            "loop": True,
            "snapshots": {"kinds": ["new", "update", "line", "end"]},
        },
        "streams": [
            {"id": name, "url": str(material.street), "fps": 10, "lines": LINES} for name in ("c0", "c1")
        ],
    }


def kept(folder: Path) -> set[str]:
    """Names of finished files."""
    media = folder / "media"
    return {path.relative_to(media).as_posix() for path in media.glob("*/*/[!.]*")}


def bodies(daemon: Daemon, schema: str) -> list[Any]:
    lines = [json.loads(line) for line in daemon.output.splitlines()]
    return [line for line in lines if line["schema"].startswith(schema)]


@pytest.mark.parametrize("workers", [1, 2])
def test_every_file_is_uploaded_after_an_outage_and_kills(
    material: Material, tmp_path: Path, workers: int
) -> None:
    port = free_port()
    with S3Server(tmp_path / "s3") as server:
        server.stop()
        s3 = server.settings(secret_key="${S3_SECRET}", prefix="site", public_url=PUBLIC)
        settings = config(material, tmp_path, s3, port, workers)
        for number in range(3):
            already = len(kept(tmp_path))
            daemon = Daemon(tmp_path / f"killed-{number}", settings, environment=ENVIRONMENT)
            daemon.start()
            daemon.wait_for_event("started")
            wait_until(lambda before=already: len(kept(tmp_path)) > before + 3)  # type: ignore[misc]
            daemon.wait_for_event("s3_failed")
            daemon.signal(signal.SIGKILL)
            daemon.wait()
        before = kept(tmp_path)
        server.start()
        wrong = {**settings, "media": {**settings["media"], "s3": {**s3, "bucket": "missing"}}}
        with Daemon(tmp_path / "last", wrong, environment=ENVIRONMENT) as daemon:
            assert daemon.wait_for_event("s3_failed")["reason"] == "bucket"
            daemon.wait_for_event("started")
            daemon.config_file.write_text(yaml.safe_dump(settings))
            daemon.signal(signal.SIGHUP)
            daemon.wait_for_event("config_applied")
            daemon.wait_for_event("s3_recovered")
            wait_until(lambda: {f"site/{key}" for key in before} <= server.objects().keys())
            node = httpx.get(f"http://127.0.0.1:{port}/api/node", timeout=30).json()
            metrics = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
            status = httpx.get(f"http://127.0.0.1:{port}/api/status", timeout=30).json()["node"]
        for key, data in server.objects().items():
            assert data == (tmp_path / "media" / key.removeprefix("site/")).read_bytes()
    (sink,) = [each for each in node["sinks"] if each["name"] == "s3"]
    assert (sink["connected"], sink["last_error"], sink["dropped"]) == (True, None, 0)
    assert sink["delivered"] >= len(before)
    assert 'framelane_sink_up{sink="s3"} 1.0' in metrics
    assert 'framelane_sink_dropped_total{reason="deleted",sink="s3"} 0.0' in metrics
    assert status["reason"] != "upload"
    reported = {sink["name"] for body in bodies(daemon, "framelane.node-stats/") for sink in body["sinks"]}
    assert "s3" in reported
    told = [body for body in bodies(daemon, "framelane.event/") if "snapshot_url" in body]
    assert told
    for body in told:
        assert body["snapshot_url"].startswith(f"{PUBLIC}/site/")
        assert body["snapshot_url"].endswith(f"/{body['stream']}/{body['event']}.jpg")
    assert SECRET_KEY not in daemon.log + daemon.output
    # One outage, one line; a kill leaves no other trace.
    assert len(daemon.events("s3_failed")) == len(daemon.events("s3_recovered")) == 1
