"""Describes an engine: its bindings, and its layers as TensorRT fused them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from framelane.gpu.trt.load import load_engine
from framelane.gpu.trt.log import logger

# By the name of TensorRT's DataType.
DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "UINT8": "uint8",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
}
_PRECISIONS = (("Int8", "int8"), ("FP16", "fp16"), ("Half", "fp16"), ("FP32", "fp32"), ("Float", "fp32"))


@dataclass(frozen=True, slots=True)
class Binding:
    """An input or output of an engine; dynamic dimensions are -1."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    is_input: bool


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of an engine: one kernel, or a group that TensorRT compiled as one.

    Attributes:
        name: names of the nodes it came from.
        kind: TensorRT's own word.
        precision: int8, fp16 or fp32, or two if its output differs from its input (`int8 -> fp32` is an INT8
            convolution whose sums stay float32); empty if TensorRT does not report it.
    """

    name: str
    kind: str
    precision: str


@dataclass(frozen=True, slots=True)
class Description:
    """The bindings and layers of an engine."""

    bindings: tuple[Binding, ...]
    layers: tuple[Layer, ...]


def describe(trt: Any, plan: bytes, name: str) -> Description:  # noqa: ANN401
    """Describe a serialized engine; a device must be current.

    Raises:
        ModelError: this TensorRT or GPU can't load it.
        OutOfMemoryError: the GPU is full.
    """
    runtime = trt.Runtime(logger(trt))
    engine = load_engine(trt, runtime, plan, name, "its log says why")
    tensors = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    bindings = [_binding(trt, engine, tensor) for tensor in tensors]
    inspector = engine.create_engine_inspector()
    text = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
    return Description(tuple(sorted(bindings, key=lambda each: not each.is_input)), layers_of(text))


def layers_of(text: str) -> tuple[Layer, ...]:
    """Parse layers from the inspector's JSON.

    No version guarantees its format, so unreadable parts are ignored.
    """
    try:
        listed = json.loads(text).get("Layers", [])
    except (ValueError, AttributeError):
        return ()
    return tuple(_layer(each) for each in listed)


def _layer(listed: Any) -> Layer:  # noqa: ANN401 - JSON
    if not isinstance(listed, dict):
        return Layer(str(listed), "", "")
    ends = [_precision(listed.get(side)) for side in ("Inputs", "Outputs")]
    precision = " -> ".join(dict.fromkeys(filter(None, ends)))
    return Layer(str(listed.get("Name", "")), str(listed.get("LayerType", "")), precision)


def _precision(tensors: Any) -> str:  # noqa: ANN401 - JSON
    """Return the precision of a layer's first input or output."""
    first = tensors[0] if isinstance(tensors, list) and tensors else None
    described = str(first.get("Format/Datatype", "")) if isinstance(first, dict) else ""
    return next((ours for theirs, ours in _PRECISIONS if re.search(theirs, described, re.IGNORECASE)), "")


def _binding(trt: Any, engine: Any, name: str) -> Binding:  # noqa: ANN401
    dtype = engine.get_tensor_dtype(name).name
    shape = tuple(int(dim) for dim in engine.get_tensor_shape(name))
    is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
    return Binding(name, DTYPES.get(dtype, dtype.lower()), shape, is_input)
