"""A model that finds nothing and takes no time, to measure the daemon's own CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 320
_CLASSES = {0: "nothing"}
_ANCHORS = sum((SIDE // stride) ** 2 for stride in (8, 16, 32))
_OPSET = 17
_IR = 9


def write_null_model(path: Path) -> Path:
    """Write an ONNX file in Ultralytics' v8 layout whose output is zero, for any batch size."""
    import onnx  # noqa: PLC0415 - 15 MB that a measured process must not carry
    from onnx import TensorProto, helper  # noqa: PLC0415

    rows = 4 + len(_CLASSES)
    nodes = [
        helper.make_node("Shape", ["images"], ["batch"], start=0, end=1),
        helper.make_node("Concat", ["batch", "rest"], ["shape"], axis=0),
        helper.make_node("ConstantOfShape", ["shape"], ["output0"]),
    ]
    graph = helper.make_graph(
        nodes,
        "null",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, ["N", rows, _ANCHORS])],
        [helper.make_tensor("rest", TensorProto.INT64, [2], [rows, _ANCHORS])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    helper.set_model_props(
        model, {"names": str(_CLASSES), "imgsz": str([SIDE, SIDE]), "stride": "32", "task": "detect"}
    )
    onnx.save(model, str(path))
    return path
