"""Encodes messages, above all the most frequent one: a frame's detections."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import orjson
import ormsgpack

from framelane.messages.attributes import attributes_json
from framelane.messages.object_details import add_details
from framelane.messages.timestamps import timestamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from framelane.core.frames import Detections, Result

Kind = Literal[
    "status", "state", "detections", "events", "zones", "lines", "snapshots", "stats", "discovery", "onvif"
]
Encoding = Literal["json", "msgpack", "jpeg"]

# Boxes have 0.1 pixel, box_norm 5 digits and confidence 4 digits.
_BOX_STEPS = 10.0
_NORM_STEPS = 1e5
_CONFIDENCE_STEPS = 1e4
_ENCODE: dict[Encoding, Callable[[object], bytes]] = {"json": orjson.dumps, "msgpack": ormsgpack.packb}
# The last key and value of a message that may be replayed, fresh and replayed, in either encoding.
_ENDINGS = ((b'"replayed":false}', b'"replayed":true}'), (b"\xa8replayed\xc2", b"\xa8replayed\xc3"))
_STEPS = np.array([_BOX_STEPS] * 4 + [_NORM_STEPS] * 4 + [_CONFIDENCE_STEPS])


@dataclass(frozen=True, slots=True)
class Message:
    """One encoded message on its way to the sinks.

    Attributes:
        kind: the kind of message; sinks select by it.
        stream: the stream that it is about; None for the node.
        payload: UTF-8 JSON, MessagePack, or a JPEG image; empty to delete a retained message.
        retain: whether it replaces the previous one of the same kind, stream and key, for later subscribers.
        key: further levels of its topic, such as "yard/person"; empty if its kind has one topic per stream.
    """

    kind: Kind
    stream: str | None
    payload: bytes
    retain: bool
    key: str = ""

    @property
    def encoding(self) -> Encoding:
        """The encoding, from the first byte.

        A spool keeps bare payloads, and some may predate the current setting.
        """
        if self.kind == "snapshots":
            return "jpeg"
        return "msgpack" if self.payload[:1] > b"\x7f" else "json"


@dataclass(frozen=True, slots=True)
class Origin:
    """The sender: the node, and the id of its start."""

    node: str
    run: str


def as_replayed(message: Message) -> Message:
    """Return the same detections or event with `replayed` true, in either encoding.

    It is the last key, so nothing is decoded.

    Raises:
        ValueError: the payload has another end, so it is not ours or is damaged.
    """
    payload = message.payload
    for fresh, late in _ENDINGS:
        if payload.endswith(fresh):
            return replace(message, payload=payload[: -len(fresh)] + late)
        if payload.endswith(late):
            return message
    raise ValueError("no message that says whether it is replayed")


def json_payload(message: Message) -> bytes:
    """Return the payload as JSON, for consumers that read only JSON."""
    return message.payload if message.encoding == "json" else orjson.dumps(ormsgpack.unpackb(message.payload))


def detections_message(
    origin: Origin, result: Result, *, seq: int, dropped: int, total_s: float, encoding: Encoding = "json"
) -> Message:
    """Encode a result as the schema says; `total_s` is the latency from capture to here.

    `replayed` must stay the last key: see `as_replayed`.
    """
    frame, model = result.frame, result.model
    body = {
        "schema": "framelane.detections/1",
        "node": origin.node,
        "stream": frame.stream,
        "run": origin.run,
        "seq": seq,
        "captured_at": timestamp(frame.captured_at),
        "clock": frame.clock,
        "pts": round(frame.pts_s, 6),
        "width": frame.width,
        "height": frame.height,
        "model": {"name": model.name, "hash": model.hash, "backend": model.backend},
        "detections": objects_of(result.detections, model.labels, frame.width, frame.height),
        "dropped": dropped,
        "latency_ms": {
            "queue": round(result.queued_s * 1e3, 1),
            "infer": round(result.inferred_s * 1e3, 1),
            "total": round(total_s * 1e3, 1),
        },
        "replayed": False,
    }
    return Message("detections", frame.stream, _ENCODE[encoding](body), retain=False)


@lru_cache(maxsize=1024)
def _grid(width: int, height: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return factors from pixels to whole steps for each column, and each column's largest value."""
    size = np.array([width, height, width, height], np.float64)
    factors = np.concatenate([np.full(4, _BOX_STEPS), _NORM_STEPS / size, [_CONFIDENCE_STEPS]])
    ceiling = np.concatenate([size * _BOX_STEPS, np.full(4, _NORM_STEPS), [_CONFIDENCE_STEPS]])
    return factors, ceiling


def objects_of(
    detections: Detections, labels: tuple[str, ...], width: int, height: int
) -> list[dict[str, Any]]:
    """Return a frame's objects as JSON values.

    All are rounded in one table: box, box over size, confidence.
    """
    if not len(detections):
        return []
    factors, ceiling = _grid(width, height)
    table = np.empty((len(detections), 9))
    table[:, :4] = table[:, 4:8] = detections.xyxy
    table[:, 8] = detections.confidence
    # An FP16 model may overflow, and JSON has no infinity.
    if not math.isfinite(table.sum()):
        return objects_of(
            detections.select(np.flatnonzero(np.isfinite(table).all(axis=1))), labels, width, height
        )
    table *= factors
    np.rint(table, out=table)
    np.minimum(table, ceiling, out=table)
    np.maximum(table, 0.0, out=table)
    table /= _STEPS
    named = len(labels)
    objects = [
        {
            "label": labels[class_id] if class_id < named else str(class_id),
            "class_id": class_id,
            "confidence": row[8],
            "box": row[:4],
            "box_norm": row[4:8],
        }
        for row, class_id in zip(table.tolist(), detections.class_id.tolist(), strict=True)
    ]
    add_details(objects, detections)
    _add_tracking(objects, detections)
    return objects


def _add_tracking(objects: list[dict[str, Any]], detections: Detections) -> None:
    """Add `track_id`, `zones` and `attributes` to a frame's objects, as far as there are any."""
    if detections.track_id is not None:
        for each, track_id in zip(objects, detections.track_id.tolist(), strict=True):
            # An object that has been seen once only has no track yet.
            if track_id > 0:
                each["track_id"] = track_id
    if detections.zones is not None:
        for each, zones in zip(objects, detections.zones.tolist(), strict=True):
            if zones:
                each["zones"] = zones
    if detections.attributes is not None:
        for each, attributes in zip(objects, detections.attributes.tolist(), strict=True):
            if attributes:
                each["attributes"] = attributes_json(attributes)
