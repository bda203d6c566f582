"""Measure the tracker and the rules: time per frame, and HOTA on a clip with MOT ground truth beside other trackers.

    python scripts/eval_tracker.py                 # time per frame, without any footage
    python scripts/eval_tracker.py --clip          # and HOTA of persons on the PETS clip of ../shared

`motrics` computes HOTA, and `pyxtrackers` is compared if it is installed (`pip install motrics pyxtrackers`).
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "daemon"))

from eval_pets import SHARED, read_tracks
from framelane.analytics.observations import Observation
from framelane.analytics.rules.engine import RuleEngine
from framelane.analytics.rules.reporter import Moment
from framelane.analytics.rules.ruleset import RuleSet
from framelane.analytics.tracker import Tracker
from framelane.config.sections.model import ModelConfig
from framelane.config.sections.rules import EventsConfig, LineConfig, ZoneConfig
from framelane.inference.model import load_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    # Per frame: ids [N] and corners [N, 4].
    Tracks = list[tuple[NDArray[np.int64], NDArray[np.float64]]]
    # Per frame: corners and confidence [N, 5].
    Found = list[NDArray[np.float64]]

CONFIDENCE = 0.4
WEAK = 0.2
STREAMS = 16
CROWD = 200
RULES = RuleSet.of(
    {
        f"line{n}": LineConfig(points=points)
        for n, points in enumerate(
            (
                [[0.1, 0.3], [0.9, 0.3]],
                [[0.1, 0.6], [0.9, 0.6]],
                [[0.3, 0.1], [0.3, 0.9]],
                [[0.2, 0.9], [0.9, 0.2]],
            )
        )
    },
    {
        f"zone{n}": ZoneConfig(polygon=[[x, y], [x + 0.4, y], [x + 0.3, y + 0.4], [x, y + 0.4]])
        for n, (x, y) in enumerate(((0.05, 0.05), (0.5, 0.1), (0.1, 0.5), (0.55, 0.55)))
    },
    EventsConfig(),
    ("person",),
)
"""Four lines and four zones."""


def time_per_frame(objects: int, crowd: int = 0, frames: int = 300) -> tuple[float, float]:
    """Return microseconds of CPU per frame, in batches of 16 streams whose objects move and jitter.

    The first figure is the tracker's, the second that of eight rules per stream.

    Args:
        objects: of each stream.
        crowd: more of the first stream, each of them elsewhere in each frame.
        frames: batches.
    """
    rng = np.random.default_rng(1)
    start = rng.uniform(100, 1800, (STREAMS, objects, 2))
    speed = rng.uniform(-50, 50, (STREAMS, objects, 2))
    tracker, spent_s = Tracker(), np.zeros(2)
    engine = RuleEngine(tracker, "model")
    for number in range(frames):
        center = start + speed * number / 15 + rng.normal(0, 2, start.shape)
        xyxy = np.concatenate((center - 40, center + 40), axis=2).astype(np.float32)
        corner = rng.uniform(0, 1000, (crowd, 2))
        more = np.concatenate((corner, corner + 40), axis=1).astype(np.float32)
        batch = [_seen("0", number, np.concatenate((xyxy[0], more)))]
        batch += [_seen(f"{n}", number, xyxy[n]) for n in range(1, STREAMS)]
        began_s = time.thread_time()
        tracked = tracker.update(batch)
        tracked_s = time.thread_time()
        for each in range(STREAMS):
            moment = Moment(f"{each}", "run", f"{each}", number / 15, 0.0, "media", 1920, 1080)
            engine.follow(f"{each}", RULES, moment)
        engine.update(tracked)
        engine.taken()
        spent_s += tracked_s - began_s, time.thread_time() - tracked_s
    track_us, rules_us = (spent_s / frames / STREAMS * 1e6).tolist()
    return track_us, rules_us


def _seen(stream: str, number: int, xyxy: NDArray[np.float32]) -> Observation:
    count = len(xyxy)
    confidence, class_id = np.full(count, 0.8, np.float32), np.zeros(count, np.int32)
    return Observation(stream, number / 15, xyxy, confidence, class_id, np.zeros(count, np.bool_))


def persons_found(model: Path, clip: Path, weak: float = WEAK) -> Found:
    """Return what a model finds in each frame, down to the confidence `weak`."""
    loaded = load_model("eval", ModelConfig(path=str(model), labels="coco", backend="onnxruntime"))
    runner = loaded.runner(1)
    runner.open()
    wanted = loaded.filter(classes=["person"], confidence=weak)
    with av.open(str(clip)) as container:
        found = [
            runner.detect([frame], [wanted], [None]).detections[0] for frame in container.decode(video=0)
        ]
    return [np.c_[each.xyxy, each.confidence].astype(np.float64) for each in found]


def tracked(found: Found, fps: float) -> Tracks:
    """Return the tracks of Framelane's tracker; a detection below the threshold is no output."""
    tracker, tracks = Tracker(), []
    for number, boxes in enumerate(found):
        strong = boxes[:, 4] >= CONFIDENCE
        classes = np.zeros(len(boxes), np.int32)
        corners, confidence = boxes[:, :4].astype(np.float32), boxes[:, 4].astype(np.float32)
        seen = Observation("clip", number / fps, corners, confidence, classes, ~strong)
        (ids,) = tracker.update([seen]).ids
        shown = (ids > 0) & strong
        tracks.append((ids[shown], boxes[shown, :4]))
    return tracks


def byte_tracked(found: Found, fps: float) -> Tracks:
    """Return the tracks of pyxtrackers' ByteTrack, with the same thresholds and memory."""
    from pyxtrackers import BYTETracker  # noqa: PLC0415 - a competitor, not a dependency

    tracker = BYTETracker(
        track_thresh=CONFIDENCE, track_buffer=round(2 * fps), match_thresh=0.8, frame_rate=round(fps)
    )
    rows = [np.asarray(tracker.update(np.ascontiguousarray(boxes))).reshape(-1, 5) for boxes in found]
    return [(each[:, 4].astype(np.int64), each[:, :4]) for each in rows]


def hota(truth: Path, tracks: Tracks) -> tuple[float, int]:
    """Return HOTA in percent and the number of identity switches, against MOT ground truth."""
    import motrics  # noqa: PLC0415 - only for this

    persons = read_tracks(truth)
    empty = np.zeros(0, np.int64), np.zeros((0, 4))
    real = [persons.get(number + 1, empty) for number in range(len(tracks))]
    result = motrics.evaluate(
        *(motrics.Frames(*map(list, zip(*each, strict=True))) for each in (real, tracks))
    )
    return 100 * float(result.hota.hota), int(result.clear.num_switches)


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clip", action="store_true", help="track persons on the PETS clip too")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    for objects, crowd in ((0, 0), (10, 0), (30, 0), (10, CROWD)):
        rounds = np.array([time_per_frame(objects, crowd) for _ in range(arguments.rounds)])
        parts = (f"{np.median(each):.1f} us ({each.min():.1f} to {each.max():.1f})" for each in rounds.T)
        more = f" and {crowd} more on one of {STREAMS} streams" if crowd else ""
        print(f"{objects:3} objects{more}, CPU per frame: tracker {next(parts)}, eight rules {next(parts)}")
    if arguments.clip:
        _print_hota()
    return 0


def _print_hota() -> None:
    clip = SHARED / "videos/vtest_pets09s2l1_h264_7fps.mp4"
    found = persons_found(SHARED / "models/yolox_nano_416_dynbatch.onnx", clip)
    trackers: dict[str, Callable[[Found, float], Tracks]] = {"framelane": tracked}
    if importlib.util.find_spec("pyxtrackers"):
        trackers["pyxtrackers ByteTrack"] = byte_tracked
    for name, track in trackers.items():
        score, switches = hota(SHARED / "videos/PETS09-S2L1/gt.txt", track(found, 7.0))
        print(f"{name}: HOTA {score:.1f}, {switches} identity switches")


if __name__ == "__main__":
    sys.exit(main())
