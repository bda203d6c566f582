"""A street with its ground truth, for tests of snapshots and clips."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

import pytest

from framelane.demo.clips import ClipTruth, ensure_clips, load_truth

if TYPE_CHECKING:
    from pathlib import Path

MODEL = files("framelane.demo") / "assets" / "framelane-demo.onnx"


class Street(NamedTuple):
    """A looping clip, and what is visible in it."""

    clip: Path
    truth: ClipTruth


@pytest.fixture(scope="session")
def streets(tmp_path_factory: pytest.TempPathFactory) -> list[Street]:
    """Three streets with traffic, each 12 s long."""
    clips = ensure_clips(tmp_path_factory.getbasetemp().parent / "streets", 3)
    return [Street(clip, load_truth(clip)) for clip in clips]
