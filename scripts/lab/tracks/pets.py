"""The PETS clip of ../shared as footage, with persons found by a model and lines that nobody has tuned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from eval_pets import SHARED, read_tracks
from eval_tracker import persons_found
from lab.tracks.footage import Crossing, Footage

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CLIP = SHARED / "videos/vtest_pets09s2l1_h264_7fps.mp4"
TRUTH = SHARED / "videos/PETS09-S2L1/gt.txt"
SIZE_WH = (768, 576)
FPS = 7.0
LINES = np.array(
    [
        *([[x, 0.05], [x, 0.95]] for x in (0.25, 0.5, 0.75)),
        *([[0.05, y], [0.95, y]] for y in (0.4, 0.55, 0.7)),
        [[0.1, 0.9], [0.9, 0.3]],
        [[0.1, 0.3], [0.9, 0.9]],
        [[0.35, 0.3], [0.65, 0.8]],
    ]
)
"""A plain grid and three slants, from 0 to 1, written down before any count was seen."""
_UNDONE_S = 1.0


def pets(model: Path, thresholds: tuple[float, ...]) -> list[Footage]:
    """Return the clip with what a model finds, at each threshold; half of it is the threshold of weak detections."""
    persons = read_tracks(TRUTH)
    seen = persons_found(model, CLIP, min(thresholds) / 2)
    empty = np.zeros(0, np.int64), np.zeros((0, 4))
    truth = []
    for number in range(1, len(seen) + 1):
        ids, boxes = persons.get(number, empty)
        truth.append(np.c_[boxes, ids, np.zeros(len(ids))])
    lines = LINES * SIZE_WH
    true = crossings(truth, lines, FPS)
    clips = []
    for least in thresholds:
        found = [np.c_[each, np.zeros(len(each))][each[:, 4] >= least / 2] for each in seen]
        name = f"PETS, {model.stem} at {least:g}"
        clips.append(Footage(name, FPS, SIZE_WH, least, ("person",), found, truth, lines, true))
    return clips


def crossings(truth: list[Floats], lines: Floats, fps: float) -> list[Crossing]:
    """Return when the middles of true boxes' bottom edges cross lines.

    Two crossings that undo each other within a second are none: people hesitate, and annotators click a few pixels off.
    """
    last: dict[int, tuple[int, Floats]] = {}
    found: dict[tuple[int, int], list[Crossing]] = {}
    for frame, boxes in enumerate(truth):
        for left, _, right, bottom, person, _ in boxes:
            foot = np.array([(left + right) / 2, bottom])
            frame_before, before = last.get(int(person), (frame, foot))
            last[int(person)] = frame, foot
            for number, line in enumerate(lines):
                share, side = _crossed(before, foot, line)
                if side:
                    at_s = (frame_before + share * (frame - frame_before)) / fps
                    _add(found.setdefault((int(person), number), []), Crossing(number, side, at_s))
    return sorted((each for own in found.values() for each in own), key=lambda each: each.at_s)


def _add(own: list[Crossing], crossing: Crossing) -> None:
    """Add an object's next crossing of a line, or take back the one that it undoes."""
    undone = own and own[-1].direction == -crossing.direction and crossing.at_s - own[-1].at_s < _UNDONE_S
    if undone:
        own.pop()
    else:
        own.append(crossing)


def _crossed(before: Floats, after: Floats, line: Floats) -> tuple[float, int]:
    """Return at which share of a step it crosses a line, and to which side (0 if it does not)."""
    along, step = line[1] - line[0], after - before
    was, now = (float(along[0] * off[1] - along[1] * off[0]) for off in (before - line[0], after - line[0]))
    first, last = (float(step[0] * off[1] - step[1] * off[0]) for off in (line[0] - before, line[1] - before))
    if (was >= 0) == (now >= 0) or (first >= 0) == (last >= 0):
        return 0.0, 0
    return was / (was - now), 1 if now >= 0 else -1
