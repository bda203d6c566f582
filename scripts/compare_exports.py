"""Compare what Framelane finds with what the exporters' own predict() finds, on files of export_models.py.

Prints for each file the head that was recognized, the objects of both sides, and how far they are apart: boxes,
points and corners in source pixels, scores, angles in radians, masks as the share of pixels that differ. Exit
code 1 if any head is not the expected one, or anything is farther apart than --pixels and --scores allow.

Networks with random weights see masks of hundreds of specks, more than a message holds, so masks are compared
before their outlines are drawn: as the list of their pixels.
"""

from __future__ import annotations

import argparse
import ast
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import cv2
import numpy as np
import onnx

from framelane.config.sections.model import ModelConfig
from framelane.core.errors import ModelError
from framelane.core.log import setup
from framelane.inference.model import load_model
from framelane.media.image_files import read_picture
from framelane.models.heads import masks
from framelane.models.input.preprocess import Preprocessor
from lab.exports import CONFIDENCE, IMAGE, IOU

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from framelane.core.frames import Detections
    from framelane.inference.model import Model
    from framelane.models.input.letterbox import Letterbox

    Expected = Mapping[str, NDArray[Any]]

# Ultralytics hides points below this confidence.
_SHOWN_POINT = 0.5
_SAME_SCORE = 0.01


@dataclass
class Apart:
    """How far two lists of objects are apart at most.

    Attributes:
        missing: objects that only one side has.
        box: source pixels.
        score: confidence of objects.
        points: source pixels, and their confidences.
        corners: source pixels.
        angle: radians.
        mask: largest share of an object's pixels that only one side has.
        input: mean difference of the prepared image, in 8-bit values.
    """

    missing: int = 0
    box: float = 0.0
    score: float = 0.0
    points: float = 0.0
    corners: float = 0.0
    angle: float = 0.0
    mask: float = 0.0
    input: float = 0.0


def main() -> int:
    """Print a line for each file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the folder that export_models.py wrote to")
    parser.add_argument("--image", type=Path, default=IMAGE)
    parser.add_argument(
        "--bare",
        action="store_true",
        help="without the exporter's notes: only outputs and labels tell the head",
    )
    parser.add_argument("--pixels", type=float, default=1.0, help="most pixels apart")
    parser.add_argument("--scores", type=float, default=1e-3, help="most apart of scores and angles")
    parser.add_argument("--masks", type=float, default=1e-3, help="most apart of masks, as a share")
    args = parser.parse_args()
    setup("error", "console")
    masks.outlines_of = _pixels_of
    names = [field.name for field in fields(Apart)]
    print(f"{'file':36}{'head':14}{'objects':>8}" + "".join(f"{name:>9}" for name in names))
    wrong = 0
    for path in sorted(args.folder.glob("*.npz")):
        expected = dict(np.load(path))
        # Ultralytics lets boxes around rotated ones reach beyond the image.
        expected["xyxy"] = expected["xyxy"].clip(0, np.tile(expected["source_wh"], 2))
        try:
            head, found, apart = _compare(
                _config(path.with_suffix(".onnx"), expected, args), expected, args.image
            )
        except ModelError as error:
            wrong += 1
            print(f"{path.stem:36}refused: {str(error).replace(str(args.folder), '')}")
            continue
        pixels = max(apart.box, apart.points, apart.corners) <= args.pixels
        scores = max(apart.score, apart.angle) <= args.scores
        right = head == str(expected["head"]) and not apart.missing and pixels and scores
        right = right and apart.mask <= args.masks
        wrong += not right
        numbers = "".join(f"{getattr(apart, name):9.3g}" for name in names)
        print(f"{path.stem:36}{head:14}{found:8}{numbers}{'' if right else '  WRONG'}")
    print(f"{wrong} wrong")
    return int(wrong > 0)


def _config(path: Path, expected: Expected, args: argparse.Namespace) -> ModelConfig:
    model = onnx.load(path)
    notes = {each.key: each.value for each in model.metadata_props}
    names = ast.literal_eval(notes.get("names", "{}"))
    # RF-DETR notes no names, and its predict() reports the column for no object too.
    labels = [str(each) for each in names.values() or range(int(expected["classes"]) + 1)]
    if args.bare:
        del model.metadata_props[:]
        path = path.with_name(f"bare-{path.name}")
        onnx.save(model, path)
    return ModelConfig(
        path=str(path),
        backend="onnxruntime",
        confidence=CONFIDENCE,
        iou=IOU,
        labels=labels,
        size=[expected["tensor"].shape[3], expected["tensor"].shape[2]],
    )


def _compare(config: ModelConfig, expected: Expected, image: Path) -> tuple[str, int, Apart]:
    model = load_model("compared", config)
    try:
        width, height = expected["source_wh"].tolist()
        letterbox = model.input.letterbox((width, height))
        tensor = expected["tensor"].astype(model.input.dtype)
        (found,) = model.detect(tensor, [letterbox], [model.filter()])
        prepared = _input_apart(model, expected["tensor"], image)
    finally:
        model.close()
    if found.masks is not None:
        # The exporters leave out objects whose mask is empty.
        found = found.select(np.array([len(mask) > 0 for mask in found.masks], bool))
    places = _places(found, expected)
    both = np.flatnonzero(places >= 0)
    once = _once(expected) if model.head.name.startswith("rf-detr") else np.ones(len(expected["xyxy"]), bool)
    missing = len(found) - len(both) + int(once.sum()) - int(once[places[both]].sum())
    pairs = found.select(both), {name: expected[name][places[both]] for name in _columns(expected)}
    return model.head.name, len(both), _apart(*pairs, missing, prepared, letterbox)


def _columns(expected: Expected) -> list[str]:
    return [name for name in expected if name not in {"tensor", "source_wh", "head", "classes"}]


def _places(found: Detections, expected: Expected) -> NDArray[np.intp]:
    """Return for each found object the number of the same one among the expected, or -1."""
    own = {"xyxy": found.xyxy} if found.corners is None else {"corners": found.corners}
    left = set(range(len(expected["confidence"])))
    places = np.full(len(found), -1, np.intp)
    for each in range(len(found)):
        near = [
            (_farthest(_shape(expected, other) - _shape(own, each)), other)
            for other in left
            if expected["class_id"][other] == found.class_id[each]
            and abs(expected["confidence"][other] - found.confidence[each]) < _SAME_SCORE
        ]
        if near:
            places[each] = min(near)[1]
            left.discard(int(places[each]))
    return places


def _shape(objects: Expected, number: int) -> NDArray[Any]:
    """Return an object's corners if it is rotated, else its box."""
    return np.asarray(objects["corners" if "corners" in objects else "xyxy"][number])


def _once(expected: Expected) -> NDArray[np.bool_]:
    """Return which objects are no second class of the same query, which Framelane does not report."""
    boxes = expected["xyxy"]
    order = np.argsort(-expected["confidence"], kind="stable")
    kept = np.zeros(len(boxes), bool)
    for each in order:
        kept[each] = not any(np.array_equal(boxes[each], boxes[other]) for other in np.flatnonzero(kept))
    return kept


def _input_apart(model: Model, tensor: NDArray[Any], image: Path) -> float:
    """Return the mean difference between the image as both sides prepare it, in 8-bit values."""
    picture = read_picture(image)
    assert picture is not None  # noqa: S101 - the exporter has read it
    prepared, _ = Preprocessor(model.input, 1)([picture])
    factors = model.input.factors[:, None, None]
    return float((np.abs(prepared.astype(np.float32) - tensor) / factors).mean())


def _apart(
    found: Detections, expected: Expected, missing: int, prepared: float, letterbox: Letterbox
) -> Apart:
    apart = Apart(missing, input=prepared)
    apart.box = _farthest(found.xyxy - expected["xyxy"])
    apart.score = _farthest(found.confidence - expected["confidence"])
    if found.keypoints is not None:
        points = expected["keypoints"]
        with_confidence = points.shape[2] == found.keypoints.shape[2]
        shown = points[..., 2] >= _SHOWN_POINT if with_confidence else np.ones(points.shape[:2], bool)
        apart.points = _farthest((found.keypoints[..., :2] - points[..., :2])[shown])
        if with_confidence:
            apart.score = max(apart.score, _farthest(found.keypoints[..., 2] - points[..., 2]))
    if found.corners is not None and found.angle is not None:
        apart.corners = _farthest(found.corners - expected["corners"])
        turns = (found.angle - expected["angle"]) / np.pi
        apart.angle = _farthest((turns - np.rint(turns)) * np.pi)
    if found.masks is not None:
        shares = [
            _mask_apart(mask[0], other, letterbox)
            for mask, other in zip(found.masks, expected["masks"], strict=True)
        ]
        apart.mask = max(shares, default=0.0)
    return apart


def _pixels_of(mask: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """Return all pixels of a mask in place of its outlines."""
    rows, columns = np.nonzero(mask)
    return [np.stack([columns, rows], axis=1).astype(np.float32) + np.float32(0.5)] if len(rows) else []


def _mask_apart(pixels: NDArray[np.float32], expected: NDArray[np.bool_], letterbox: Letterbox) -> float:
    """Return the share of pixels that only one of two masks has, in the image's part of the input."""
    width, height = letterbox.target_wh
    if expected.shape != (height, width):
        expected = cv2.resize(expected.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
    mask = np.zeros((height, width), bool)
    columns, rows = np.rint(letterbox.to_input(np.tile(pixels, 2))[:, :2] - 0.5).astype(np.intp).T
    mask[rows.clip(0, height - 1), columns.clip(0, width - 1)] = True
    # Pixels in the padding have moved to the edge of the image.
    (left, top), (across, down) = letterbox.pad_xy, letterbox.new_wh
    inside = slice(top + 1, top + down - 1), slice(left + 1, left + across - 1)
    mask, expected = mask[inside], expected[inside]
    return float((mask != expected).sum() / max((mask | expected).sum(), 1))


def _farthest(values: NDArray[Any]) -> float:
    return float(np.abs(values).max(initial=0))


if __name__ == "__main__":
    sys.exit(main())
