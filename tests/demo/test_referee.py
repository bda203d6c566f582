"""The truth beside the demo's counts covers just the frames that a subscriber had results for."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tests.neighbours.clips import ClipShape, decode_file, draw_clip
from tests.neighbours.viewer import Viewer

from framelane.demo.referee import Referee, Street, Tally
from framelane.demo.rtsp import CameraSpec, RtspServer
from framelane.demo.street_rules import TrueCount, TrueCrossing
from framelane.demo.watcher import Watcher
from framelane.messages.timestamps import timestamp

if TYPE_CHECKING:
    from pathlib import Path

LEFT, RIGHT = -1, 1
SHAPE = ClipShape(width=192, height=128, frames=10, fps=25)
STREET = Street(
    SHAPE.frames,
    {},
    (
        TrueCrossing(LEFT, 0, 0.4, doubtful=False),
        TrueCrossing(LEFT, 3, 0.11, doubtful=False),
        TrueCrossing(RIGHT, 3, 0.12, doubtful=True),
        TrueCrossing(RIGHT, 7, 0.28, doubtful=False),
    ),
    tuple(TrueCount(frame, 1) for frame in range(10)),
)


@pytest.mark.parametrize(
    ("frames", "left", "right", "inside"),
    [
        ([], TrueCount(0, 0), TrueCount(0, 0), None),
        # It was on that side already.
        ([3], TrueCount(0, 0), TrueCount(0, 0), 3),
        ([2, 3], TrueCount(1, 0), TrueCount(0, 1), 3),
        ([8, 9, 0, 1], TrueCount(1, 0), TrueCount(0, 0), 1),
        # Nobody saw how it got there.
        ([2, 4, 7], TrueCount(0, 0), TrueCount(0, 0), 7),
        ([*range(10), *range(10), 0], TrueCount(4, 0), TrueCount(2, 2), 0),
    ],
)
def test_tally_counts_steps_from_one_frame_to_the_next(
    frames: list[int], left: TrueCount, right: TrueCount, inside: int | None
) -> None:
    tally = Tally(STREET)
    for frame in frames:
        tally.show(frame)
    assert (tally.crossed("left"), tally.crossed("right")) == (left, right)
    assert tally.inside == (None if inside is None else TrueCount(inside, 1))


def result(captured_s: float, seq: int) -> dict[str, object]:
    return {
        "schema": "framelane.detections/1",
        "run": "run",
        "seq": seq,
        "captured_at": timestamp(captured_s),
        "detections": [],
    }


def test_referee_counts_the_frames_from_the_first_result_to_the_newest(tmp_path: Path) -> None:
    clip = draw_clip(tmp_path, "h264", SHAPE)
    known = {pixels.tobytes(): number for number, pixels in enumerate(decode_file(clip))}
    watcher = Watcher(1, ())
    with RtspServer([CameraSpec("cam", clip, start_at_keyframe=True)]) as server:
        referee = Referee({"cam": server.camera("cam")}, {"cam": STREET}, watcher)
        with Viewer(server.url("cam")) as viewer:
            assert viewer.wait_for(40), viewer.error
            seen = [frame for frame in viewer.frames if frame.captured_s is not None]
        shown = [known[frame.pixels.tobytes()] for frame in seen]
        referee.look()
        assert referee.of("cam").inside is None
        expected: Counter[int] = Counter()
        # Results of the fifth frame, of one 9 frames later, and of another 14 later; those between may be missing.
        for seq, (before, index) in enumerate([(4, 4), (4, 13), (13, 27)]):
            captured_s = seen[index].captured_s
            assert captured_s is not None
            watcher.of("cam").take(result(captured_s, seq))
            referee.look()
            for frame in shown[before + 1 : index + 1]:
                expected.update(each.side for each in STREET.crossings if each.frame == frame)
            tally = referee.of("cam")
            totals = {
                side: tally.crossed(side).sure + tally.crossed(side).doubtful for side in ("left", "right")
            }
            assert totals == {"left": expected[LEFT], "right": expected[RIGHT]}
            assert tally.inside == TrueCount(shown[index], 1)
    assert expected[LEFT] >= 4
