"""Box decoding and suppression by the kernels, against the CPU path: the same boxes in the same order."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.inference.backends.cuda.both_paths import (
    CELLS,
    HEADS,
    INPUT,
    OBJECTNESS,
    BothPaths,
    at_least,
    crowd,
    head_of,
    output_of,
)

from framelane.gpu.module import layouts
from framelane.inference.backends.cuda.head_spec import HeadSpec, ScoresSpec
from framelane.inference.backends.cuda.postprocess import Postprocess, PostprocessAddresses
from framelane.models.heads.class_filter import ClassFilter
from framelane.models.heads.nms import MOST_COMPARED
from framelane.models.input.letterbox import Crop, Letterbox

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tests.gpu.machines import Machine

    Array = NDArray[np.float32]

THIRD = np.float32(1) - np.float32(
    1 - 1 / 3
)  # the overlap of two boxes that share a third, as OpenCV rounds it


def columns(xyxy: list[list[float]], scores: list[list[float]]) -> Array:
    """A YOLOv8 output of one picture."""
    corner = np.array(xyxy, np.float32).reshape(-1, 4)
    cxcywh = np.concatenate([(corner[:, :2] + corner[:, 2:]) / 2, corner[:, 2:] - corner[:, :2]], axis=1)
    return output_of("yolov8", cxcywh, np.array(scores, np.float32))


def one_class(machine: Machine, xyxy: list[list[float]], scores: list[float], **options: float) -> BothPaths:
    output = columns(xyxy, [[score] for score in scores])
    return BothPaths(machine, head_of("yolov8", 1), output, [at_least(0.1, 1)], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("levels", [None, 6])
@pytest.mark.parametrize("name", HEADS)
def test_finds_what_the_cpu_finds(machine: Machine, name: str, levels: int | None, dtype: str) -> None:
    rng = np.random.default_rng([HEADS.index(name), levels or 0])
    outputs = [output_of(name, *crowd(rng, CELLS, 3, levels)) for _ in range(4)]
    filters = [
        at_least(0.3, 3),
        at_least(0.05, 3),
        ClassFilter.of(np.array([np.inf, 0.3, 0.6], np.float32)),
        ClassFilter.of(np.array([0.35, np.inf, np.inf], np.float32)),
    ]
    case = BothPaths(machine, head_of(name, 3), np.concatenate(outputs).astype(dtype), filters)
    found = case.check()
    assert min(len(one) for one in found) > 3
    assert set(found[2].class_id.tolist()) <= {1, 2}
    assert set(found[3].class_id.tolist()) == {0}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("iou", [0.0, 0.3, 0.7, 1.0])
def test_suppresses_as_the_cpu_when_the_picture_is_crowded(machine: Machine, seed: int, iou: float) -> None:
    rng = np.random.default_rng(seed)
    output = output_of("yolov8", *crowd(rng, 700, 4, levels=5 if seed % 2 else None)[:2])
    BothPaths(machine, head_of("yolov8", 4), output, [at_least(0.1, 4)], iou=iou).check()


def test_order_of_arrival_decides_when_confidences_tie(machine: Machine) -> None:
    near: list[list[float]] = [[0, 0, 40, 40], [60, 60, 90, 90], [1, 0, 41, 40], [61, 60, 91, 90]]
    found = one_class(machine, near, [0.5, 0.75, 0.5, 0.75]).check()[0]
    assert found.xyxy.tolist() == [near[1], near[0]]


@pytest.mark.parametrize(
    ("other", "iou", "kept"),
    [
        ([0, 0, 10, 5], 0.5, 2),
        ([0, 0, 10, 5], np.nextafter(np.float32(0.5), np.float32(0)), 1),
        ([0, 5, 10, 15], THIRD, 2),
        ([0, 5, 10, 15], np.nextafter(THIRD, np.float32(0)), 1),
        ([0, 0, 10, 10], 1.0, 2),
        ([10, 0, 20, 10], 0.0, 2),  # they touch
        ([9, 9, 20, 20], 0.0, 1),
    ],
)
def test_an_overlap_equal_to_iou_is_no_reason_to_go(
    machine: Machine, other: list[float], iou: float, kept: int
) -> None:
    found = one_class(machine, [[0, 0, 10, 10], other], [0.9, 0.8], iou=float(iou)).check()[0]
    assert kept == len(found)


@pytest.mark.parametrize("step", range(24))
def test_overlaps_round_as_on_the_cpu_when_close_to_iou(machine: Machine, step: int) -> None:
    """Boxes slide past each other in steps of a bit or so around the overlap that is asked for."""
    rng = np.random.default_rng(step)
    boxes = []
    for number in range(40):
        x, y, width, height = rng.uniform([0, 0, 5, 5], [60, 60, 60, 60])
        slide = width * (1 - 0.45) / (1 + 0.45) * (1 + (number - 20) * 3e-8)
        boxes += [[x, y, x + width, y + height], [x + slide, y, x + width + slide, y + height]]
    scores = np.zeros((80, 40), np.float32)  # each pair has a class of its own
    scores[np.arange(80), np.arange(80) // 2] = 0.5
    output = columns(boxes, scores.tolist())
    BothPaths(machine, head_of("yolov8", 40), output, [at_least(0.1, 40)]).check()


def test_boxes_of_different_classes_stay(machine: Machine) -> None:
    output = columns([[5, 5, 60, 60]] * 3, [[0.9, 0, 0], [0, 0, 0.8], [0, 0, 0.7]])
    found = BothPaths(machine, head_of("yolov8", 3), output, [at_least(0.3, 3)]).check()[0]
    assert found.class_id.tolist() == [0, 2]


def test_the_first_of_equal_classes_is_the_best(machine: Machine) -> None:
    output = columns([[5, 5, 60, 60], [70, 70, 90, 90]], [[0.25, 0.5, 0.5], [0.5, 0.25, 0.5]])
    found = BothPaths(machine, head_of("yolov8", 3), output, [at_least(0.3, 3)]).check()[0]
    assert found.class_id.tolist() == [1, 0]


def test_an_unwanted_class_hides_a_weaker_wanted_one(machine: Machine) -> None:
    output = columns([[5, 5, 60, 60], [70, 70, 90, 90]], [[0.9, 0.8], [0.1, 0.6]])
    wanted = ClassFilter.of(np.array([np.inf, 0.5], np.float32))
    found = BothPaths(machine, head_of("yolov8", 2), output, [wanted]).check()[0]
    assert found.confidence.tolist() == [np.float32(0.6)]


@pytest.mark.parametrize("name", HEADS)
def test_each_picture_has_thresholds_of_its_own(machine: Machine, name: str) -> None:
    output = output_of(name, *crowd(np.random.default_rng(5), CELLS, 2))
    filters = [at_least(confidence, 2) for confidence in (0.1, 0.6, 0.999)]
    filters.append(ClassFilter.of(np.full(2, np.inf, np.float32)))
    found = BothPaths(machine, head_of(name, 2), np.repeat(output, 4, axis=0), filters).check()
    assert len(found[0]) > len(found[1]) > len(found[2]) >= len(found[3]) == 0


@pytest.mark.parametrize("name", [name for name in HEADS if not name.startswith("rf-detr")])
def test_a_confidence_equal_to_its_threshold_passes(machine: Machine, name: str) -> None:
    boxes = np.array([[20, 20, 9, 9], [50, 50, 9, 9], [90, 90, 9, 9]], np.float32)
    boxes = np.resize(boxes, (CELLS, 4))
    threshold = np.float32(0.1)
    certain = np.zeros(CELLS, np.float32)
    certain[:3] = [0.5, threshold, np.nextafter(threshold, np.float32(0))]
    scores = np.ones((CELLS, 1), np.float32) if name in OBJECTNESS else certain[:, None]
    case = BothPaths(machine, head_of(name, 1), output_of(name, boxes, scores, certain), [at_least(0.1, 1)])
    assert case.check()[0].confidence.tolist() == [0.5, threshold]


@pytest.mark.parametrize("max_det", [1, 7])
@pytest.mark.parametrize("name", ["yolov8", "end2end"])
def test_at_most_max_det_boxes_are_kept(machine: Machine, name: str, max_det: int) -> None:
    output = output_of(name, *crowd(np.random.default_rng(2), 300, 3, levels=4))
    found = BothPaths(machine, head_of(name, 3), output, [at_least(0.1, 3)], max_det=max_det).check()[0]
    assert max_det == len(found)


def apart(count: int) -> Array:
    """Boxes [count, 4] as center and size, not overlapping."""
    place = np.stack(np.divmod(np.arange(count), 100), axis=1) * 10
    return np.concatenate([place, np.full((count, 2), 8)], axis=1).astype(np.float32)


@pytest.mark.parametrize("scores", ["equal", "few levels", "rising", "any", "close"])
def test_only_the_strongest_are_compared_when_there_are_too_many(machine: Machine, scores: str) -> None:
    """All but the last strongest two cover each other, so that who is still compared shows."""
    rng = np.random.default_rng(3)
    count = MOST_COMPARED + 1500
    confidence: Array = {
        "equal": np.full(count, 0.5),
        "few levels": rng.integers(1, 4, count) / 4,
        "rising": np.linspace(0.1, 0.9, count),
        "any": rng.uniform(0.1, 1, count),
        "close": 0.5 + rng.integers(0, 300, count) * 2.0**-24,
    }[scores].astype(np.float32)
    order = np.argsort(-confidence, kind="stable")
    boxes = apart(count)
    boxes[order[: MOST_COMPARED - 1]] = boxes[order[0]]
    output = output_of("yolov8", boxes, confidence[:, None])
    place = Letterbox.fit((640, 640), (640, 640), "topleft")
    found = BothPaths(machine, head_of("yolov8", 1), output, [at_least(0.1, 1)], [place]).check()[0]
    assert confidence[order[[0, MOST_COMPARED - 1]]].tolist() == found.confidence.tolist()


def test_many_boxes_are_kept_when_none_overlap(machine: Machine) -> None:
    boxes = apart(5000)
    scores = np.random.default_rng(1).integers(1, 9, (5000, 2)).astype(np.float32) / np.float32(16)
    place = Letterbox.fit((1280, 720), (1280, 720), "topleft")
    output = output_of("yolov8", boxes, scores)
    case = BothPaths(machine, head_of("yolov8", 2), output, [at_least(0.05, 2)], [place], max_det=600)
    assert len(case.check()[0]) == 600


@pytest.mark.parametrize("count", [1, 2, 31, 32, 33, 255, 256, 257, 511, 513, 1024, 1025])
def test_every_number_of_candidates_is_sorted(machine: Machine, count: int) -> None:
    scores = np.random.default_rng(count).uniform(0.2, 1, (count, 1)).astype(np.float32)
    case = BothPaths(
        machine,
        head_of("yolov8", 1),
        output_of("yolov8", apart(count), scores),
        [at_least(0.1, 1)],
        max_det=2000,
    )
    assert count == len(case.check()[0])


def test_more_than_4096_rows_need_no_suppression(machine: Machine) -> None:
    output = output_of("end2end", *crowd(np.random.default_rng(8), 4500, 2, levels=50))
    assert len(BothPaths(machine, head_of("end2end", 2), output, [at_least(0.01, 2)]).check()[0]) == 300


@pytest.mark.parametrize("name", HEADS)
def test_nothing_is_found_when_nothing_is_there(machine: Machine, name: str) -> None:
    boxes, scores, objectness = crowd(np.random.default_rng(2), CELLS, 3)
    output = output_of(name, boxes, scores * 0, objectness * 0)
    assert len(BothPaths(machine, head_of(name, 3), output, [at_least(0.1, 3)]).check()[0]) == 0


@pytest.mark.parametrize("classes", [1, 80, 1300])
@pytest.mark.parametrize("name", ["yolov8", "yolov5"])
def test_any_number_of_classes(machine: Machine, name: str, classes: int) -> None:
    rng = np.random.default_rng(classes)
    output = output_of(name, *crowd(rng, 60, classes, levels=16))
    thresholds = rng.choice(np.array([0.2, 0.5, np.inf], np.float32), classes)
    thresholds[-1] = 0.2
    BothPaths(machine, head_of(name, classes), output, [ClassFilter.of(thresholds)]).check()


def test_the_last_of_many_classes_is_found(machine: Machine) -> None:
    scores = np.zeros((2, 1300), np.float32)
    scores[0, 1299] = scores[1, 1024] = 0.5
    output = columns([[0, 0, 9, 9], [0, 0, 9, 9]], scores.tolist())
    found = BothPaths(machine, head_of("yolov8", 1300), output, [at_least(0.2, 1300)]).check()[0]
    assert found.class_id.tolist() == [1299, 1024]


def test_end2end_passes_over_classes_that_have_no_label(machine: Machine) -> None:
    named = [0, 2, 3, -1, -0.5, 2.9, 1e10, -1e10, np.nan, np.inf, 1]
    output = np.zeros((1, len(named), 6), np.float32)
    output[0, :, :4] = [10, 10, 50, 60]
    output[0, :, 4] = np.linspace(0.5, 0.9, len(named))
    output[0, :, 5] = named
    found = BothPaths(machine, head_of("end2end", 3), output, [at_least(0.1, 3)]).check()[0]
    assert found.class_id.tolist() == [1, 2, 0, 2, 0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, 2e6])
@pytest.mark.parametrize("name", HEADS)
def test_broken_numbers_cost_their_own_row_alone(machine: Machine, name: str, value: float) -> None:
    boxes, scores, objectness = crowd(np.random.default_rng(4), CELLS, 3)
    output = output_of(name, boxes, scores, objectness)
    rows = output[0].T if name.startswith("yolov8") else output[0]
    strong = np.flatnonzero(scores.max(axis=1) * (objectness if name in OBJECTNESS else 1) > 0.5)
    for row, column in zip(strong, range(rows.shape[1]), strict=False):
        rows[row, column] = value
    found = BothPaths(machine, head_of(name, 3), output, [at_least(0.4, 3)]).check()[0]
    assert len(found) > 3
    assert np.isfinite(found.xyxy).all()


def test_boxes_without_an_area_are_none(machine: Machine) -> None:
    boxes: list[list[float]] = [[5, 5, 5, 60], [5, 5, 60, 5], [50, 50, 40, 60], [5, 5, 5, 5], [7, 7, 8, 8]]
    output = columns(boxes, [[0.9, 0.1]] * 2 + [[0.1, 0.9]] * 3)
    found = BothPaths(machine, head_of("yolov8", 2), output, [at_least(0.3, 2)]).check()[0]
    assert found.xyxy.tolist() == [boxes[-1]]


@pytest.mark.parametrize("name", HEADS)
def test_boxes_come_back_in_source_pixels(machine: Machine, name: str) -> None:
    crop = Crop(0.25, 0.1, 0.8, 0.9)
    places = [
        Letterbox.fit((1920, 1080), INPUT.size_wh, "center"),
        Letterbox.fit((1080, 1921), INPUT.size_wh, "center"),
        Letterbox.fit((100, 77), INPUT.size_wh, "topleft"),
        Letterbox.fit((1920, 1080), INPUT.size_wh, "center", crop),
        Letterbox.fit((333, 777), INPUT.size_wh, "center", crop),
    ]
    rng = np.random.default_rng(6)
    output = np.concatenate([output_of(name, *crowd(rng, CELLS, 3)) for _ in places])
    found = BothPaths(machine, head_of(name, 3), output, [at_least(0.3, 3)] * 5, places).check()
    assert all(len(one) > 3 for one in found)
    origin = places[4].origin_xy
    assert (found[4].xyxy >= (*origin, *origin)).all()


@pytest.mark.parametrize("live", [0, 1, 3])
@pytest.mark.parametrize("name", HEADS)
def test_padding_pictures_have_no_boxes(machine: Machine, name: str, live: int) -> None:
    output = output_of(name, *crowd(np.random.default_rng(7), CELLS, 3))
    case = BothPaths(
        machine, head_of(name, 3), np.repeat(output, live, axis=0), [at_least(0.3, 3)] * live, batch=4
    )
    assert len(case.check()) == live


@pytest.mark.parametrize("name", HEADS)
def test_a_second_launch_knows_nothing_of_the_first(machine: Machine, name: str) -> None:
    output = output_of(name, *crowd(np.random.default_rng(9), CELLS, 3))
    BothPaths(machine, head_of(name, 3), output, [at_least(0.3, 3)], launches=2).check()


def test_sizes_of_a_common_model() -> None:
    head = HeadSpec("columns", 8400, 84, 0, 80, "float16", overlapping=True, input_wh=(640, 640))
    plan = Postprocess(head, 16, 0.45, 300)
    assert plan.workspace_bytes == 16 * (8400 * 28 + 4096 * 20 + 300 * 4) + 256
    assert (plan.result_shape, plan.result_bytes) == ((16, 1801), 16 * 1801 * 4)
    assert plan.details_bytes == 0


def test_details_of_a_common_model() -> None:
    head = HeadSpec("columns", 8400, 116, 32, 80, "float16", overlapping=True, input_wh=(640, 640))
    plan = Postprocess(head, 16, 0.45, 300)
    assert (plan.details_shape, plan.details_bytes) == ((16, 300, 36), 16 * 300 * 36 * 4)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("details", ["none", "values", "angle", "entries"])
@pytest.mark.parametrize("layout", ["columns", "rows", "grid_rows", "end2end", "unit_end2end", "scored"])
def test_kernels_of_the_package_take_what_is_launched(layout: Any, details: str, dtype: Any) -> None:
    kernels = layouts(
        files("framelane.inference.backends.cuda.kernels").joinpath("framelane.ptx").read_text()
    )
    kinds = {"q": "uint64", "i": "int32", "f": "float32", "d": "float64"}
    extra = {"none": 0, "values": 32, "angle": 5, "entries": 400}[details]
    head = HeadSpec(
        layout, 8400, 84 + extra, extra, 80, dtype, overlapping=True, input_wh=(640, 640), strides=(8, 16, 32),
        rotated=details == "angle",
        scores=ScoresSpec(81, dtype, logits=True, unit=True) if layout == "scored" else None,
        entries=dtype if details == "entries" else None,
    )  # fmt: skip
    launched = []

    class Launches:
        def launch(self, name: str, grid: Any, block: Any, stream: Any, *args: np.generic) -> None:
            assert [kinds[kind] for kind in kernels[name] if kind in kinds] == [
                arg.dtype.name for arg in args
            ]
            assert all(size >= 1 for size in (*grid, *block))
            launched.append(name)

    Postprocess(head, 16, 0.45, 300).launch(Launches(), None, PostprocessAddresses(*[256] * 10))
    assert len(launched) == 3 + (extra > 0)
