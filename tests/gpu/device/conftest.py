"""A GPU, clips that its decoder reads, and an engine of the demo's model, which is built once."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from framelane.config.sections.engine import EngineConfig
from framelane.config.sections.model import ModelConfig
from framelane.demo.clips import Encoding, load_truth, write_clip
from framelane.demo.scene import Scene
from framelane.gpu.device import Device
from framelane.gpu.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from framelane.demo.clips import ClipTruth

CLIP_S = 4.0
SCENE = 31


@pytest.fixture
def device() -> Iterator[Device]:
    with Device.open() as device, device.current():
        yield device


@pytest.fixture
def stream(device: Device) -> Iterator[Stream]:
    stream = Stream()
    yield stream
    stream.close()


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a rendered street in all codings that matter, and the street's truth beside each."""
    folder = tmp_path_factory.mktemp("footage")
    codings = {
        "h264": Encoding(),
        "hevc": Encoding(codec="libx265"),
        "hevc10": Encoding(codec="libx265", pixel_format="yuv420p10le"),
        "h264-full": Encoding(full_range=True),
        "h264-422": Encoding(pixel_format="yuv422p"),
    }
    for name, encoding in codings.items():
        write_clip(folder / f"{name}.mp4", Scene(SCENE), CLIP_S, encoding)
    return folder


@pytest.fixture(scope="session")
def truth(footage: Path) -> ClipTruth:
    return load_truth(footage / "h264.mp4")


@pytest.fixture(scope="session")
def engine_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where engines are kept: $FRAMELANE_TEST_ENGINES, or a folder that goes."""
    given = os.environ.get("FRAMELANE_TEST_ENGINES")
    return Path(given) if given else tmp_path_factory.mktemp("engines")


@pytest.fixture(scope="session")
def demo_model(engine_folder: Path) -> ModelConfig:
    """The demo's model on the GPU."""
    return ModelConfig(
        path=str(files("framelane.demo") / "assets" / "framelane-demo.onnx"),
        backend="tensorrt",
        engine=EngineConfig(folder=str(engine_folder)),
        batch=4,
        slots=2,
    )
