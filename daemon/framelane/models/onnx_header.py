"""Reads an ONNX file's own description, even if ONNX Runtime can't load the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.models.artifact import ORT_TYPES, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import onnx


@dataclass(frozen=True, slots=True)
class OnnxHeader:
    """An ONNX file without its weights.

    Attributes:
        producer: program and version that wrote it.
        ir_version: version of the file format.
        opsets: operator set version by domain; the domain of ONNX itself is `ai.onnx`.
        operators: how many operators its graph has.
        inputs: its inputs.
        outputs: its outputs.
        metadata: the properties that its exporter wrote into it.
    """

    producer: str
    ir_version: int
    opsets: dict[str, int]
    operators: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    metadata: dict[str, str]


def read_header(path: Path) -> OnnxHeader | None:
    """Return a file's header; None if it can't be read or is no ONNX file."""
    import onnx  # noqa: PLC0415 - 15 MB, which only this needs
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - likewise

    try:
        model = onnx.load(str(path), load_external_data=False)
        return _header(model)
    except (OSError, DecodeError, UnicodeDecodeError):
        return None


def _header(model: onnx.ModelProto) -> OnnxHeader | None:
    graph = model.graph
    if not graph.node:
        return None
    weights = {tensor.name for tensor in graph.initializer}
    return OnnxHeader(
        f"{model.producer_name} {model.producer_version}".strip(),
        model.ir_version,
        {opset.domain or "ai.onnx": opset.version for opset in model.opset_import},
        len(graph.node),
        _specs(each for each in graph.input if each.name not in weights),
        _specs(graph.output),
        {each.key: each.value for each in model.metadata_props},
    )


def _specs(values: Iterable[onnx.ValueInfoProto]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            value.name,
            _type_name(value.type.tensor_type.elem_type),
            tuple(_dimension(dim) for dim in value.type.tensor_type.shape.dim),
        )
        for value in values
    )


def _type_name(number: int) -> str:
    from onnx import TensorProto  # noqa: PLC0415 - as above

    names = {value: name.lower() for name, value in TensorProto.DataType.items()}
    name: str = names.get(number, f"type {number}")
    return ORT_TYPES.get(name, name)


def _dimension(dim: onnx.TensorShapeProto.Dimension) -> int | str | None:
    return dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None
