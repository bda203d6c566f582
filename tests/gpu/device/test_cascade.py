"""A second model on the card: its crops are read from NVDEC's frames, and say the same as crops in host memory."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from tests.gpu.device.here import needs_gpu, needs_nvdec
from tests.gpu.device.test_daemon import model_section, run
from tests.models import second_files

if TYPE_CHECKING:
    from pathlib import Path

    from framelane.config.sections.model import ModelConfig
    from framelane.demo.clips import ClipTruth

pytestmark = [pytest.mark.gpu, pytest.mark.e2e, needs_gpu, needs_nvdec, pytest.mark.timeout(580)]

STREAMS = ("card", "host")
# Cells of the image, as objects of both streams are compared: 8 across and 8 down.
CELLS = 8


def colors_by_place(lines: list[dict[str, Any]], truth: ClipTruth) -> dict[tuple[int, str, int, int], str]:
    """The color of each object, by the clip's frame, its label and the cell of its center."""
    found = {}
    for line in lines:
        number = truth.index_at(line["pts"])
        for each in line["detections"]:
            left, top, right, bottom = each["box_norm"]
            place = int((left + right) / 2 * CELLS), int((top + bottom) / 2 * CELLS)
            if "attributes" in each:
                found[(number, each["label"], *place)] = each["attributes"]["color"]["label"]
    return found


def test_crops_of_frames_on_the_card_say_the_same_as_those_in_host_memory(
    tmp_path: Path, demo_model: ModelConfig, footage: Path, truth: ClipTruth
) -> None:
    results = tmp_path / "results.jsonl"
    color = second_files.color_classifier(tmp_path / "color.onnx", gain=60.0)
    stream = {"url": str(footage / "h264.mp4"), "loop": True, "track": True, "model": "demo"}
    config = {
        "jsonl": {"path": str(results)},
        "models": {
            "demo": model_section(demo_model),
            "color": {
                "path": str(color), "backend": "tensorrt", "precision": "fp32", "of": "demo", "batch": 4,
                "engine": {"folder": demo_model.engine.folder},
            },
        },
        "streams": [{"id": "card", **stream, "decode": "nvdec"}, {"id": "host", **stream, "decode": "cpu"}],
    }  # fmt: skip
    received = run(tmp_path, config, list(STREAMS))
    assert [received.streams[name].missing for name in STREAMS] == [0, 0]
    assert (received.decoders["card"], received.decoders["host"]) == ("nvdec", "cpu")
    lines = defaultdict(list)
    for line in map(json.loads, results.read_text().splitlines()):
        if line["schema"] == "framelane.detections/1":
            lines[line["stream"]].append(line)
    card, host = (colors_by_place(lines[name], truth) for name in STREAMS)
    both = card.keys() & host.keys()
    assert len(both) > 20
    assert sum(card[place] == host[place] for place in both) >= 0.8 * len(both)
