from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from prometheus_client.core import CollectorRegistry
from tests.sinks.examples import WALL_S
from tests.waiting import wait_until

from framelane.config.sections.media import MediaConfig
from framelane.footage.keeper import MediaKeeper
from framelane.footage.metrics import MediaCollector
from framelane.footage.store import Place

if TYPE_CHECKING:
    from pathlib import Path


def test_folder_is_counted_and_swept_from_the_start(tmp_path: Path) -> None:
    before = MediaKeeper(MediaConfig(folder=str(tmp_path), min_free_bytes="1MiB"))
    for number in range(10):
        before.store.write(Place(WALL_S, "lobby", str(uuid.UUID(int=number)), "jpg"), [bytes(5000)])
    keeper = MediaKeeper(MediaConfig(folder=str(tmp_path), max_bytes="40KiB", min_free_bytes="1MiB"))
    registry = CollectorRegistry()
    registry.register(MediaCollector(keeper.store))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"framelane_media_{name}", labels)

    assert (value("bytes"), value("deleted_total", reason="size")) == (10 * 8192, 0)
    keeper.start()
    wait_until(lambda: value("deleted_total", reason="size") == 6)
    assert (value("bytes"), value("deleted_total", reason="age")) == (4 * 8192, 0)
    assert (value("free_bytes") or 0) > 0
    assert keeper.stop(5)


def test_disk_that_fails_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "media").write_text("a file where the folder should be")
    keeper = MediaKeeper(MediaConfig(folder=str(tmp_path / "media" / "below")))
    assert keeper.failed(OSError("gone")) == 60.0
    keeper.start()
    assert keeper.stop(5)
