"""The demo's streets as if NVDEC had decoded them: each event has its snapshot, made of copies of surfaces."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from tests.footage.test_street import KINDS, URL, overlap, play
from tests.inference.backends.cuda.shim_copies import shim_copies
from tests.inference.backends.cuda.test_preprocess import PictureOnGpu

from framelane.footage.jpegs import note_of
from framelane.inference.backends.cpu.runner import CpuRunner
from framelane.messages.events import event_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import av
    import pytest
    from tests.footage.conftest import Street
    from tests.inference.backends.cuda.shim_copies import ShimCopies

    from framelane.inference.backends.runner import Detected

LONGEST = 200


def surfaces_from_now_on(monkeypatch: pytest.MonkeyPatch, shim: ShimCopies) -> None:
    """Let the CPU infer, and treat every frame as one that must go back to its decoder."""
    on_cpu, one_slot = CpuRunner.detect, threading.Lock()

    def detect(
        self: CpuRunner, images: list[av.VideoFrame], wanted: Any, crops: Any, pictured: Sequence[int] = ()
    ) -> Detected:
        surfaces: Any = [PictureOnGpu(image.reformat(format="nv12")) for image in images]
        with one_slot:
            copies = shim.copier.copy(surfaces, pictured, shim.stream)
        surfaces.clear()
        found = on_cpu(self, images, wanted, crops)
        with one_slot:
            shim.copier.look(copies, found.detections, pictured, shim.stream)
        return replace(found, copies=copies, copy_bytes=shim.copies.memory.bytes)

    monkeypatch.setattr(CpuRunner, "detect", detect)
    monkeypatch.setattr("framelane.inference.worker.is_on_gpu", lambda _: True)


def shape_of(path: Path) -> tuple[int, ...]:
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    shape: tuple[int, ...] = image.shape
    return shape


def test_each_event_has_a_snapshot_that_shows_its_object(
    streets: list[Street], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shim_copies() as shim:
        surfaces_from_now_on(monkeypatch, shim)
        events = play(streets[:1], tmp_path, snapshots={"longest": LONGEST})
        held_bytes = shim.copies.memory.bytes
    due = {event_id("gate-01", each): each for each in events if each.kind in KINDS}
    assert len(due) >= 10
    overlaps = []
    for name, event in due.items():
        assert event.snapshot_url == f"{URL}/api/events/{name}/snapshot.jpg"
        (crop,), (whole,) = (list(tmp_path.glob(f"media/*/*/{name}{end}")) for end in (".jpg", ".whole.jpg"))
        note = note_of(crop.read_bytes())
        assert note is not None
        left, top, right, bottom = note["region"]
        assert shape_of(crop) == (bottom - top, right - left, 3)
        assert max(shape_of(whole)) == LONGEST
        overlaps.append(overlap(note, streets[0]))
    assert np.median(overlaps) >= 0.75
    # A few batches' worth: copies are dropped as soon as they were looked at.
    assert 0 < held_bytes < 64 << 20
