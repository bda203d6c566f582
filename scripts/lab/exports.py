"""The exports that scripts/export_models.py makes, to compare (scripts/compare_exports.py) or to measure."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

IMAGE = Path(__file__).resolve().parents[2] / "daemon/framelane/models/assets/street.jpg"
CONFIDENCE, IOU = 0.1, 0.45


@dataclass(frozen=True)
class Case:
    """One export.

    Attributes:
        config: Ultralytics' YAML, with its scale; or the class of rfdetr.
        head: the head that Framelane should find.
        classes: the number of classes.
        size: pixels; one side, or [height, width].
        options: more arguments of the export.
    """

    config: str
    head: str
    classes: int
    size: int | tuple[int, int] = 320
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of its files."""
        size = self.size if isinstance(self.size, int) else "x".join(map(str, self.size))
        extra = "".join(f"-{key}{'' if value is True else value}" for key, value in self.options.items())
        return f"{self.config}-{self.classes}-{size}{extra}"


RECTANGLE = (192, 320)
CASES = [
    Case("yolov8n", "yolov8", 80),
    Case("yolo11n", "yolov8", 1, RECTANGLE),
    Case("yolo12n", "yolov8", 2, 320, {"dynamic": True}),
    Case("yolov8n", "yolov8", 294, 320, {"half": True}),
    Case("yolov8n", "end2end", 3, 320, {"nms": True}),
    Case("yolov10n", "end2end", 2, 320, {"nms": False}),
    Case("yolo26n", "end2end", 80, 320, {"nms": False, "dynamic": True}),
    Case("yolo26n", "end2end", 1, RECTANGLE, {"nms": False}),
    Case("yolo26n", "end2end", 294, 320, {"nms": False, "half": True}),
    Case("yolo26n", "yolov8", 3),
    Case("yolov8n-seg", "yolov8-seg", 80),
    Case("yolov8n-seg", "yolov8-seg", 1, RECTANGLE),
    Case("yolo11n-seg", "yolov8-seg", 3, 320, {"dynamic": True}),
    Case("yolo12n-seg", "yolov8-seg", 2, 320, {"half": True}),
    Case("yolo11n-seg", "yolov8-seg", 294),
    Case("yolov8n-seg", "end2end-seg", 2, 320, {"nms": True}),
    Case("yolo26n-seg", "end2end-seg", 80, 320, {"nms": False, "dynamic": True}),
    Case("yolo26n-seg", "end2end-seg", 1, RECTANGLE, {"nms": False}),
    Case("yolo26n-seg", "end2end-seg", 3, 320, {"nms": False, "half": True}),
    Case("yolov8n-pose", "yolov8-pose", 1),
    Case("yolov8n-pose", "yolov8-pose", 3, RECTANGLE),
    Case("yolo11n-pose", "yolov8-pose", 2, 320, {"dynamic": True}),
    Case("yolo12n-pose", "yolov8-pose", 80, 320, {"half": True}),
    Case("yolo11n-pose", "yolov8-pose", 294),
    Case("yolov8n-pose", "end2end-pose", 1, 320, {"nms": True}),
    Case("yolo26n-pose", "end2end-pose", 1, 320, {"nms": False, "dynamic": True}),
    Case("yolo26n-pose", "end2end-pose", 2, RECTANGLE, {"nms": False}),
    Case("yolo26n-pose", "end2end-pose", 80, 320, {"nms": False, "half": True}),
    Case("yolov8n-obb", "yolov8-obb", 15),
    Case("yolov8n-obb", "yolov8-obb", 1, RECTANGLE),
    Case("yolo11n-obb", "yolov8-obb", 2, 320, {"dynamic": True}),
    Case("yolo12n-obb", "yolov8-obb", 3, 320, {"half": True}),
    Case("yolo11n-obb", "yolov8-obb", 294),
    Case("yolov8n-obb", "end2end-obb", 3, 320, {"nms": True}),
    Case("yolo26n-obb", "end2end-obb", 80, 320, {"nms": False, "dynamic": True}),
    Case("yolo26n-obb", "end2end-obb", 1, RECTANGLE, {"nms": False}),
    Case("yolo26n-obb", "end2end-obb", 2, 320, {"nms": False, "half": True}),
    Case("yolo26n-obb", "yolov8-obb", 3),
    Case("rtdetr-l", "rtdetr", 80),
    Case("rtdetr-l", "rtdetr", 2),
    Case("RFDETRNano", "rf-detr", 90, 384),
    Case("RFDETRNano", "rf-detr", 3, 384),
    Case("RFDETRNano", "rf-detr", 1, 384, {"dynamic_batch": True}),
    Case("RFDETRSegNano", "rf-detr-seg", 2, 312),
    Case("yolov8n", "end2end", 80, 320, {"nms": True, "batch": 4}),
    Case("yolov8n", "end2end", 2, 320, {"nms": True, "dynamic": True}),
    Case("yolov8n", "end2end", 294, 320, {"nms": True, "half": True}),
    Case("yolov8n-seg", "end2end-seg", 80, RECTANGLE, {"nms": True, "batch": 4}),
    Case("yolo11n-obb", "end2end-obb", 1, 320, {"nms": True}),
    Case("yolo11n", "yolov8", 80, 320, {"opset": 11}),
    Case("yolo11n-seg", "yolov8-seg", 1, 320, {"opset": 13, "simplify": False}),
    Case("yolov8n", "yolov8", 1, 320, {"simplify": False, "opset": 20}),
    Case("yolov8n", "yolov8", 3, 320, {"batch": 4}),
    Case("yolov10n", "end2end", 80, RECTANGLE, {"nms": False, "half": True}),
    Case("yolo26n-obb", "yolov8-obb", 1),
    Case("yolo26n-pose", "yolov8-pose", 1, 320, {"dynamic": True}),
    Case("yolov9t", "yolov8", 294),
    Case("yolov5n", "yolov8", 2),
    Case("yolov6n", "yolov8", 2),
    Case("yolov3-tiny", "yolov8", 2),
    Case("yolov8n-p2", "yolov8", 2),
    Case("yolov8n-p6", "yolov8", 2, 640),
]
# What benchmarks of a GPU run; lab.busy_model gives them objects.
BENCH_CASES = [
    Case("yolov8s", "yolov8", 80, 640, {"dynamic": True}),
    Case("yolov8s-seg", "yolov8-seg", 80, 640, {"dynamic": True}),
    Case("RFDETRNano", "rf-detr", 90, 384, {"dynamic_batch": True}),
]
