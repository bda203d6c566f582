"""The media folder as a node has it: with a folder and without."""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING

import pytest
from prometheus_client.core import CollectorRegistry
from tests.neighbours.s3_server import S3Server
from tests.sinks.examples import WALL_S
from tests.waiting import wait_until

from framelane.config.sections.media import MediaConfig
from framelane.core.clock import SystemClock
from framelane.footage.keeper import MediaKeeper
from framelane.footage.store import Limits, MediaStore, Place
from framelane.node.media import NodeMedia

if TYPE_CHECKING:
    from pathlib import Path

NAME = str(uuid.UUID(int=1))


def keepers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "media"]


def no_trouble(text: str | None) -> None:
    pytest.fail(f"uploads fail: {text}")


def test_files_of_events_are_found_and_the_folder_is_measured_while_the_node_runs(tmp_path: Path) -> None:
    config = MediaConfig(folder=str(tmp_path), min_free_bytes="1MiB")
    path = MediaKeeper(config).store.write(Place(WALL_S, "lobby", NAME, "jpg"), [bytes(5000)])
    media, registry = NodeMedia(config, SystemClock(), no_trouble), CollectorRegistry()
    for collector in media.collectors():
        registry.register(collector)
    media.start()
    files = media.files
    assert files is not None
    wait_until(lambda: files.find(NAME, "jpg") == path)
    assert registry.get_sample_value("framelane_media_bytes") == 8192
    media.stop(10)
    assert keepers() == []


def test_node_without_a_folder_has_neither_files_nor_a_thread() -> None:
    media = NodeMedia(MediaConfig(), SystemClock(), no_trouble)
    media.start()
    assert (media.files, media.collectors(), media.health(), keepers()) == (None, [], [], [])
    media.stop(10)


def test_files_are_uploaded_while_the_node_runs_and_other_keys_take_effect(tmp_path: Path) -> None:
    said: list[str | None] = []

    def config(**more: str) -> MediaConfig:
        s3 = server.settings(**more)
        return MediaConfig.model_validate({"folder": str(tmp_path / "m"), "min_free_bytes": "1MiB", "s3": s3})

    with S3Server(tmp_path / "s3") as server:
        wrong = config(secret_key="wrong-4711-0815")
        store = MediaStore(tmp_path / "m", Limits.of(wrong), uploads=True)
        store.write(Place(WALL_S, "lobby", NAME, "jpg"), [b"x"])
        media = NodeMedia(wrong, SystemClock(), said.append)
        media.start()
        wait_until(lambda: said != [])
        (health,) = media.health()
        assert (health.name, health.connected, health.queued) == ("s3", False, 1)
        media.configure(config())
        wait_until(lambda: said[-1] is None)
        assert list(server.objects()) == [f"2026-11-22/lobby/{NAME}.jpg"]
        (health,) = media.health()
        assert (health.connected, health.queued, health.delivered) == (True, 0, 1)
        media.stop(10)
        assert [thread.name for thread in threading.enumerate() if thread.name in {"media", "s3"}] == []
