"""A live configuration in its own folder, with a node that records its calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from framelane.config.yaml.load import check_config
from framelane.control.changes import LiveConfig
from framelane.control.stream_edits import StreamEdits
from framelane.control.stream_folder import StreamFolder
from framelane.core.redact import forget_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from framelane.config.sections.model import ModelConfig
    from framelane.config.sections.schema import Config
    from framelane.core.errors import FramelaneError

MAIN = """
node: {id: gate}
mqtt: {url: "mqtt://127.0.0.1"}
models: {yolox: {path: m.onnx, labels: [person, car]}}
streams_dir: streams.d
streams:
  - {id: lobby, url: "rtsp://user:hunter2hunter2@10.0.0.7/1"}
"""


@dataclass
class FakeNode:
    """Prepares all, unless there is a `refusal`."""

    loaded: dict[str, ModelConfig] = field(default_factory=dict)
    refusal: FramelaneError | None = None
    prepared: list[list[str]] = field(default_factory=list)
    committed: list[list[str]] = field(default_factory=list)
    retries: int = 0

    def prepare(self, config: Config) -> None:
        self.prepared.append([stream.id for stream in config.streams])
        if self.refusal is not None:
            raise self.refusal

    def commit(self, config: Config) -> None:
        self.committed.append([stream.id for stream in config.streams])

    def retry(self) -> None:
        self.retries += 1


@dataclass
class Rig:
    """The parts of a running daemon that change its configuration."""

    live: LiveConfig
    node: FakeNode
    folder: StreamFolder
    edits: StreamEdits
    main: Path

    @property
    def ids(self) -> list[str]:
        return [stream.id for stream in self.live.config.streams]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    (tmp_path / "m.onnx").touch()
    (tmp_path / "streams.d").mkdir()
    main = tmp_path / "framelane.yaml"
    main.write_text(MAIN)
    live = LiveConfig(main, {"NAME": "value"}, check_config(main, {}))
    node = FakeNode(dict(live.config.models))
    live.attach(node)
    live.open()
    folder = StreamFolder(tmp_path / "streams.d")
    yield Rig(live, node, folder, StreamEdits(live, folder), main)
    forget_secrets()
