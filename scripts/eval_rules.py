"""Evaluate tracks and counts against ground truth, beside other trackers and line counters on the same boxes.

    python scripts/eval_rules.py --streets 20            # the demo's streets, with the streets' own truth
    python scripts/eval_rules.py --streets 0 --pets      # the PETS clip of ../shared
    python scripts/eval_rules.py --rates 4               # the same streets at 25, 12.5 and 5 frames/s
    python scripts/eval_rules.py --min-boxes 1 2         # with two ways of counting a crossing

Rivals are compared if they are installed, in an environment of their own:

    python -m venv /tmp/rivals
    /tmp/rivals/bin/pip install -e . pyxtrackers==2026.3.3 trackforge==0.4.0 trackers==2.6.1 supervision==0.31.2
    /tmp/rivals/bin/python scripts/eval_rules.py --pets

Rendering and inference are kept in the folder --cache; delete it after a change of model or renderer.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "daemon"))

from eval_pets import SHARED
from framelane.measure.hota import TrackFrame, hota
from lab.tracks.linezone import SETTINGS, line_zone
from lab.tracks.pets import CLIP, pets
from lab.tracks.score import NOTHING, Score, score
from lab.tracks.streets import StreetShape, streets
from lab.tracks.trackers import framelane, installed, true_tracks

if TYPE_CHECKING:
    from lab.tracks.footage import Crossing, Footage
    from lab.tracks.trackers import Run

FIRST_SEED = 1000
"""Streets that nothing was developed or trained on."""
MODEL = SHARED / "models/yolox_nano_416_dynbatch.onnx"


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streets", type=int, default=20, help="how many of the demo's streets")
    parser.add_argument("--times", type=int, default=5, help="how often each loop of 60 s is played")
    parser.add_argument(
        "--min-boxes", type=int, nargs="+", default=[1], help="values of a line's `min_boxes` to compare"
    )
    parser.add_argument("--pets", action="store_true", help="the PETS clip of ../shared too")
    parser.add_argument("--rates", type=int, default=0, help="how many streets to count at three rates")
    parser.add_argument("--cache", type=Path, default=Path("/tmp/framelane-streets"))  # noqa: S108 - kept on purpose
    arguments = parser.parse_args()
    if arguments.pets and not CLIP.is_file():
        parser.error(f"--pets needs {CLIP}, which is not part of the repository; leave it out")
    if arguments.pets:
        for clip in pets(MODEL, (0.4, 0.25)):
            compare(clip.name, [clip], arguments.min_boxes)
    if arguments.streets:
        shapes = [StreetShape(FIRST_SEED + number) for number in range(arguments.streets)]
        clips = streets(shapes, arguments.cache)
        compare(f"{len(clips)} streets", clips, arguments.min_boxes, arguments.times)
    if arguments.rates:
        shapes = [StreetShape(FIRST_SEED + number, fps=25.0) for number in range(arguments.rates)]
        compare_rates(streets(shapes, arguments.cache), arguments.min_boxes)
    return 0


def compare(title: str, clips: list[Footage], min_boxes: list[int], times: int = 1) -> None:
    """Print HOTA and time of each tracker, then how each way of counting lines does.

    Clips are played once for HOTA and `times` times for the lines. The lines of others take our tracks.
    """
    minutes = sum(len(clip.found) / clip.fps for clip in clips) / 60
    objects = np.mean([len(found) for clip in clips for found in clip.found])
    print(f"\n{title}: {minutes:.0f} minutes, {objects:.1f} detections per frame")
    print(f"{'tracker':40} {'mean HOTA':>9} {'CPU us':>9}")
    for name, run in {"framelane": framelane, **installed()}.items():
        _print_tracker(name, clips, [run(clip) for clip in clips])
    clips = [clip.repeated(times) for clip in clips]
    print(
        f"{f'lines in {times * minutes:.0f} minutes':40} {'F1':>6} {'count':>6} {'true':>6} {'net':>7} {'by line':>8}"
    )
    for least in min_boxes:
        ours = [framelane(clip, least) for clip in clips]
        _print_score(f"framelane, {least} boxes", _total(clips, [run.crossings for run in ours]))
        true = [true_tracks(clip, least).crossings for clip in clips]
        _print_score(f"framelane on true boxes, {least} boxes", _total(clips, true))
    if importlib.util.find_spec("supervision"):
        for setting in SETTINGS:
            counted = [line_zone(clip, run.frames, setting) for clip, run in zip(clips, ours, strict=True)]
            _print_score(setting, _total(clips, counted))


def compare_rates(clips: list[Footage], min_boxes: list[int]) -> None:
    """Print what is counted in the same clips at full, half and a fifth of the rate."""
    print(f"\n{len(clips)} streets at three rates")
    print(f"{'frames/s':40} {'F1':>6} {'count':>6} {'true':>6} {'net':>7} {'by line':>8}")
    for step in (1, 2, 5):
        fewer = [clip.every(step) for clip in clips]
        for least in min_boxes:
            counted = [framelane(clip, least).crossings for clip in fewer]
            _print_score(f"{fewer[0].fps:g}, {least} boxes", _total(fewer, counted))


def _print_tracker(name: str, clips: list[Footage], runs: list[Run]) -> None:
    mean = np.mean([_hota(clip, run) for clip, run in zip(clips, runs, strict=True)])
    print(f"{name:40} {100 * mean:9.1f} {np.mean([run.us for run in runs]):9.0f}")


def _hota(clip: Footage, run: Run) -> float:
    truth = [TrackFrame(frame[:, 4].astype(np.int64), frame[:, :4]) for frame in clip.truth]
    return hota(truth, run.frames).hota


def _total(clips: list[Footage], counted: list[list[Crossing]]) -> Score:
    scores = (score(each, clip.crossings) for clip, each in zip(clips, counted, strict=True))
    return sum(scores, NOTHING)


def _print_score(name: str, total: Score) -> None:
    print(
        f"{name:40} {total.f1:6.3f} {total.counted:6d} {total.true:6d} {total.net_error:7.1%} {total.count_error:8.1%}"
    )


if __name__ == "__main__":
    sys.exit(main())
