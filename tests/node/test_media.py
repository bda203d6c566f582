"""The media folder as a node has it: with a folder and without."""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING

from prometheus_client.core import CollectorRegistry
from tests.sinks.examples import WALL_S
from tests.waiting import wait_until

from framelane.config.sections.media import MediaConfig
from framelane.footage.keeper import MediaKeeper
from framelane.footage.store import Place
from framelane.node.media import NodeMedia

if TYPE_CHECKING:
    from pathlib import Path

NAME = str(uuid.UUID(int=1))


def keepers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "media"]


def test_files_of_events_are_found_and_the_folder_is_measured_while_the_node_runs(tmp_path: Path) -> None:
    config = MediaConfig(folder=str(tmp_path), min_free_bytes="1MiB")
    path = MediaKeeper(config).store.write(Place(WALL_S, "lobby", NAME, "jpg"), [bytes(5000)])
    media, registry = NodeMedia(config), CollectorRegistry()
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
    media = NodeMedia(MediaConfig())
    media.start()
    assert (media.files, media.collectors(), keepers()) == (None, [], [])
    media.stop(10)
