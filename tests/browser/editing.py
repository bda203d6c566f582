"""A listener whose page changes a real configuration: its checks, its files, its findings."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.control.conftest import FakeNode

from framelane.config.yaml.load import check_config
from framelane.control.changes import LiveConfig
from framelane.control.stream_edits import StreamEdits
from framelane.control.stream_folder import MARK, StreamFolder
from framelane.core.frames import ModelInfo

from .scene import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from framelane.config.sections.schema import Config
    from framelane.config.sections.stream import StreamConfig

MAIN = """
node: {id: gate-01}
mqtt: {url: "mqtt://127.0.0.1"}
models:
  yolox: {path: m.onnx, labels: [person, car, dog]}
  plates: {path: m.onnx, labels: [plate]}
streams_dir: streams.d
"""
CAM = """id: cam
url: rtsp://viewer:hunter2hunter2@10.0.0.7/1
track: true
lines:
  street: {points: [[0.1, 0.8], [0.9, 0.8]]}
zones:
  yard: {polygon: [[0.2, 0.2], [0.8, 0.2], [0.8, 0.5], [0.2, 0.5]], classes: [person]}
"""
OTHER = "id: other\nurl: rtsp://10.0.0.8/1\n"


class Node(FakeNode):
    """Prepares all, and tells the page of streams that come."""

    def __init__(self, site: Site) -> None:
        super().__init__(dict(site.live.config.models))
        self._site = site

    def commit(self, config: Config) -> None:
        super().commit(config)
        for stream in config.streams:
            self._site.scene.board.stream(stream.id)


class Site:
    """The page of two cameras, `cam` and `other`, each in a file of `streams_dir`.

    Args:
        folder: for the files.
        by_hand: whether the file of `cam` was written by hand.
        camera: options of the cameras; see Scene.
    """

    def __init__(self, folder: Path, *, by_hand: bool = False, cam: str = CAM, **camera: Any) -> None:
        (folder / "m.onnx").touch()
        self.folder = folder / "streams.d"
        self.folder.mkdir()
        (self.folder / "cam.yaml").write_text(cam if by_hand else MARK + cam)
        (self.folder / "other.yaml").write_text(MARK + OTHER)
        main = folder / "framelane.yaml"
        main.write_text(MAIN)
        self.live = LiveConfig(main, {}, check_config(main, {}))
        self.editor = StreamEdits(self.live, StreamFolder(self.folder))
        self.scene = Scene(["cam", "other"], editor=self.editor, **camera)
        self.scene.streams = lambda: self.live.config.streams
        self.scene.models = [ModelInfo("yolox", "0" * 12, "onnxruntime", ("person", "car", "dog"))]
        self.scene.configured_models = list(self.live.config.models)
        self.node = Node(self)
        self.live.attach(self.node)
        self.live.open()

    @property
    def page(self) -> str:
        """The address of the page of `cam`."""
        return self.scene.url + "#/stream/cam"

    def stream(self, name: str) -> StreamConfig:
        """A stream as it is in effect."""
        return next(each for each in self.live.config.streams if each.id == name)

    def stored(self, name: str) -> str:
        """The text of a stream's file."""
        return (self.folder / f"{name}.yaml").read_text()


@contextmanager
def serving(folder: Path, **options: Any) -> Iterator[Site]:
    """Serve a site."""
    site = Site(folder, **options)
    with site.scene:
        yield site
