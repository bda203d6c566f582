"""Opening decoders, on the CPU, where every host can."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.neighbours.clips import ClipShape, draw_clip

from framelane.gpu.availability import why_no_nvdec
from framelane.measure.errors import BenchError
from framelane.sources.decoding.decoder import ON_CPU, DecoderChoice
from lab.decoder_open import Task, open_decoders

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_clip(tmp_path_factory.mktemp("open"), "h264", ClipShape(frames=20))


@pytest.mark.parametrize(("processes", "threads"), [(1, 1), (1, 3), (2, 2)])
def test_every_session_opens_and_gives_pictures(clip: Path, processes: int, threads: int) -> None:
    cell = open_decoders(Task(str(clip), ON_CPU, pictures=5), 5, processes, threads)

    assert (cell.processes, cell.threads, cell.asked, cell.opened, cell.failed) == (
        processes,
        threads,
        5,
        5,
        0,
    )
    assert cell.first_ms is not None
    assert cell.picture_ms is not None
    assert (cell.first_ms.count, cell.picture_ms.count) == (5, 5)
    assert cell.first_ms.p50 > 0
    assert cell.wall_s >= cell.first_ms.most / 1e3
    assert cell.session_s == pytest.approx(cell.wall_s / 5)


def test_no_session_begins_when_the_time_is_over(clip: Path) -> None:
    cell = open_decoders(Task(str(clip), ON_CPU, most_s=0.0), 3, 1, 1)

    assert (cell.asked, cell.opened, cell.failed, cell.session_s) == (3, 0, 0, None)


def test_missing_clip_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"gone\.mp4: No such file"):
        open_decoders(Task(str(tmp_path / "gone.mp4"), ON_CPU), 1, 1, 1)


@pytest.mark.skipif(why_no_nvdec() is None, reason="this host has NVDEC")
def test_host_without_nvdec_says_why(clip: Path) -> None:
    with pytest.raises(BenchError, match=r"NVDEC can't be measured: .*NVIDIA.*--cpu"):
        open_decoders(Task(str(clip), DecoderChoice(0)), 1, 1, 1)
