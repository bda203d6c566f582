"""What leaves Framelane: a message, and the making of the one that matters most, a frame's detections."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import orjson
import ormsgpack

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from framelane.core.frames import Detections, Result

Kind = Literal["status", "state", "detections", "stats", "discovery"]
Encoding = Literal["json", "msgpack"]

_BOX_STEPS = 10.0  # boxes to 0.1 pixel
_NORM_STEPS = 1e5  # box_norm to 5 digits
_CONFIDENCE_STEPS = 1e4  # confidence to 4 digits
_ENCODE: dict[Encoding, Callable[[object], bytes]] = {"json": orjson.dumps, "msgpack": ormsgpack.packb}
# How a detections message ends, fresh and replayed; the key and its value in either encoding.
_ENDINGS = ((b'"replayed":false}', b'"replayed":true}'), (b"\xa8replayed\xc2", b"\xa8replayed\xc3"))
_STEPS = np.array([_BOX_STEPS] * 4 + [_NORM_STEPS] * 4 + [_CONFIDENCE_STEPS])


@dataclass(frozen=True, slots=True)
class Message:
    """One encoded message on its way to the sinks.

    Attributes:
        kind: what it is; sinks choose by it.
        stream: the stream it speaks of, or None for the node.
        payload: UTF-8 JSON, or MessagePack; empty where a retained message is to be taken back.
        retain: whether it replaces the one before of the same kind and stream, for those who come later.
    """

    kind: Kind
    stream: str | None
    payload: bytes
    retain: bool

    @property
    def encoding(self) -> Encoding:
        """Told by the first byte: a spool keeps bare payloads, and may hold some of an earlier setting."""
        return "msgpack" if self.payload[:1] > b"\x7f" else "json"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who speaks: the node, and which start of it."""

    node: str
    run: str


def timestamp(unix_s: float) -> str:
    """RFC 3339 in UTC, always with microseconds and Z."""
    seconds, microseconds = divmod(round(unix_s * 1e6), 1_000_000)
    return f"{_second(seconds)}.{microseconds:06d}Z"


@lru_cache(maxsize=64)
def _second(unix_s: int) -> str:
    """Date and time to the second: what hundreds of results have in common."""
    return datetime.fromtimestamp(unix_s, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


def as_replayed(message: Message) -> Message:
    """The same detections with `replayed` true, in either encoding: it is the last key, and nothing is decoded.

    Raises:
        ValueError: the payload ends otherwise, so it is none of ours or damaged.
    """
    payload = message.payload
    for fresh, late in _ENDINGS:
        if payload.endswith(fresh):
            return replace(message, payload=payload[: -len(fresh)] + late)
        if payload.endswith(late):
            return message
    raise ValueError("no detections message")


def json_payload(message: Message) -> bytes:
    """The payload for who reads JSON alone."""
    return message.payload if message.encoding == "json" else orjson.dumps(ormsgpack.unpackb(message.payload))


def detections_message(
    origin: Origin, result: Result, *, seq: int, dropped: int, total_s: float, encoding: Encoding = "json"
) -> Message:
    """A result, in the contract's shape; `total_s` is the latency from capture to here.

    `replayed` stays the last key: see `as_replayed`.
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
    """Factors from pixels to whole steps of each column, and the most steps each may have."""
    size = np.array([width, height, width, height], np.float64)
    factors = np.concatenate([np.full(4, _BOX_STEPS), _NORM_STEPS / size, [_CONFIDENCE_STEPS]])
    ceiling = np.concatenate([size * _BOX_STEPS, np.full(4, _NORM_STEPS), [_CONFIDENCE_STEPS]])
    return factors, ceiling


def objects_of(
    detections: Detections, labels: tuple[str, ...], width: int, height: int
) -> list[dict[str, Any]]:
    """A frame's objects as JSON values, rounded in one table: x1 y1 x2 y2, the same over size, confidence."""
    if not len(detections):
        return []
    factors, ceiling = _grid(width, height)
    table = np.empty((len(detections), 9))
    table[:, :4] = table[:, 4:8] = detections.xyxy
    table[:, 8] = detections.confidence
    if not math.isfinite(table.sum()):  # an FP16 model may overflow; JSON has no such number
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
    if detections.track_id is not None:
        for each, track_id in zip(objects, detections.track_id.tolist(), strict=True):
            each["track_id"] = track_id
    return objects
