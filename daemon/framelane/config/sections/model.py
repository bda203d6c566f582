"""The `models.<name>` section."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from framelane.config.sections.engine import EngineConfig
from framelane.config.sections.input import InputConfig
from framelane.config.sections.section import NameOrNames, Section, Side, Text, Unit


class ModelConfig(Section):
    """One model."""

    path: Text = Field(
        description="ONNX file; relative paths start at the YAML file. `demo` is the model of `framelane demo`, "
        "which comes with Framelane.",
        examples=["models/yolox_nano.onnx"],
    )
    of: Text | None = Field(
        default=None,
        description="Key of the model whose tracked objects this one looks at, crop by crop; "
        "null for a model of frames.",
    )
    on: Annotated[list[Text], Field(min_length=1)] | None = Field(
        default=None, description="With `of`: labels of the objects to look at; null for all."
    )
    every_s: Annotated[float, Field(ge=1, le=3600)] = Field(
        default=1.0, description="With `of`: least seconds between two looks at an object."
    )
    margin: Unit = Field(
        default=0.1, description="With `of`: share of the object's box that a crop adds on each side."
    )
    deadline_s: Annotated[float, Field(ge=0.05, le=60)] = Field(
        default=2.0,
        description="With `of`: seconds that an object may wait for its look, and a crop for its answer.",
    )
    backend: Literal["auto", "tensorrt", "onnxruntime"] = Field(
        default="auto", description="What runs the model; `auto` uses the fastest one present."
    )
    precision: Literal["auto", "fp32", "fp16", "int8"] = Field(
        default="auto",
        description="Precision of the TensorRT engine; `auto` is fp16. ONNX Runtime runs the file as it is.",
    )
    engine: EngineConfig = Field(
        default_factory=EngineConfig, description="The TensorRT engine; ONNX Runtime ignores it."
    )
    head: Literal[
        "auto",
        "yolox",
        "yolox-decoded",
        "yolov5",
        "yolov8",
        "yolov8-seg",
        "yolov8-pose",
        "yolov8-obb",
        "end2end",
        "end2end-seg",
        "end2end-pose",
        "end2end-obb",
        "rtdetr",
        "detr",
        "nms",
        "rf-detr",
        "rf-detr-seg",
        "yolo-nas",
        "yunet",
        "classifier",
    ] = Field(
        default="auto",
        description="Layout of the outputs; `auto` detects it from metadata, shapes and values.",
    )
    output: Text | None = Field(
        default=None,
        description="Name of the output to read, if the file has several candidates; detected by default.",
    )
    input: InputConfig = Field(
        default_factory=InputConfig,
        description="How images are prepared, if it differs from what the head and the file say.",
    )
    batch: Annotated[int, Field(ge=0, le=256)] = Field(
        default=0,
        description="Most frames per inference; 0 for the backend's default: 1 on a CPU, 16 on a GPU.",
    )
    linger_ms: Annotated[float, Field(ge=0, le=1000)] = Field(
        default=10.0, description="Milliseconds that an incomplete batch waits for more frames."
    )
    waiting: Annotated[int, Field(ge=0, le=16)] = Field(
        default=0,
        description="Most frames per stream that wait for inference; a newer one then replaces the oldest. "
        "0 for the backend's default: 1 on a CPU, 2 on a GPU.",
    )
    slots: Annotated[int, Field(ge=0, le=64)] = Field(
        default=0,
        description="Batches in flight at once; 0 for one per CPU core, or 2 on a GPU; 1 with `of`.",
    )
    size: Annotated[list[Side], Field(min_length=2, max_length=2)] | None = Field(
        default=None, description="Input [width, height] in pixels, if the file leaves it open."
    )
    labels: NameOrNames = Field(
        default="auto",
        description="`auto` (from the file), `coco`, a text file with one name per line, or a list.",
    )
    confidence: Unit = Field(default=0.4, description="Lowest confidence of a detection.")
    iou: Unit = Field(
        default=0.45, description="Overlap above which the weaker of two boxes of one class is suppressed."
    )
    max_det: Annotated[int, Field(ge=1, le=3000)] = Field(
        default=300, description="Most detections per frame."
    )
