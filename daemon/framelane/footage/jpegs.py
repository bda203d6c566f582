"""Encodes snapshots as JPEG with a note of what they show, reads the note, and draws boxes."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypedDict

import cv2
import numpy as np
import orjson
from av import error as av_error

if TYPE_CHECKING:
    import av
    from numpy.typing import NDArray

_COMMENT = b"\xff\xfe"
_SEGMENT = struct.Struct(">2sH")
_MOST_NOTE = 0xFFFF - 2
_SCAN = 0xDA
_BOX_BGR, _TEXT_BGR = (60, 190, 255), (20, 20, 20)


class Note(TypedDict):
    """What a snapshot shows; in the JPEG's comment as JSON.

    Attributes:
        event: id of the event.
        kind: of the event.
        node: where it happened.
        stream: where it happened.
        object: the object's id.
        label: its label.
        rule: the line or zone; None if the object itself changed.
        at: Unix time of the event.
        seen_at: Unix time of the frame that is shown.
        pts: its time in the stream's own time line, in seconds.
        confidence: of the box.
        frame: width and height of the frame in pixels.
        box: the object's corners in the frame's pixels.
        region: the part of the frame that the image shows, in the frame's pixels.
    """

    event: str
    kind: str
    node: str
    stream: str
    object: str
    label: str
    rule: str | None
    at: float
    seen_at: float
    pts: float
    confidence: float
    frame: tuple[int, int]
    box: tuple[float, float, float, float]
    region: tuple[int, int, int, int]


def encoded(picture: av.VideoFrame, quality: int, longest: int | None = None) -> bytes:
    """Return a frame as JPEG, reduced so that its longer side has at most `longest` pixels.

    Raises:
        ValueError: the frame can't be encoded.
    """
    share = min(1.0 if longest is None else longest / max(picture.width, picture.height), 1.0)
    width, height = (max(round(side * share), 1) for side in (picture.width, picture.height))
    try:
        image = picture.reformat(width, height, "bgr24", interpolation="AREA").to_ndarray()
    except (av_error.FFmpegError, OSError) as error:
        raise ValueError(f"FFmpeg can't convert this frame: {error}") from error
    return _jpeg(np.asarray(image, np.uint8), quality)


def with_note(data: bytes, note: Note) -> bytes:
    """Return a JPEG of OpenCV's with a note, which follows the JFIF header, because that must come first."""
    text = orjson.dumps(note)
    if len(text) > _MOST_NOTE:
        return data
    _, size = _SEGMENT.unpack_from(data, 2)
    head = 2 + 2 + size
    return data[:head] + _SEGMENT.pack(_COMMENT, 2 + len(text)) + text + data[head:]


def note_of(data: bytes) -> Note | None:
    """Return the note in the first bytes of a JPEG; None if it has none, or another program's."""
    at = 2
    while at + _SEGMENT.size <= len(data):
        marker, size = _SEGMENT.unpack_from(data, at)
        if marker[0] != 0xFF or marker[1] == _SCAN:  # noqa: PLR2004 - ITU-T T.81 B.1.1.2
            return None
        if marker == _COMMENT:
            with suppress(orjson.JSONDecodeError):
                note: Any = orjson.loads(data[at + _SEGMENT.size : at + 2 + size])
                if isinstance(note, dict) and note.keys() >= Note.__required_keys__:
                    return note  # type: ignore[return-value] # our own
        at += 2 + size
    return None


def annotated(data: bytes, quality: int) -> bytes:
    """Return a snapshot with the object's box and label drawn into it; the same if it has no note.

    Raises:
        ValueError: this is no JPEG.
    """
    note = note_of(data)
    if note is None:
        return data
    # OpenCV 4 raises for what OpenCV 5 returns None for, such as a size that it does not allow.
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ValueError("no JPEG") from error
    if image is None:
        raise ValueError("no JPEG")
    _draw(np.asarray(image, np.uint8), note)
    return with_note(_jpeg(np.asarray(image, np.uint8), quality), note)


def _draw(image: NDArray[np.uint8], note: Note) -> None:
    left, top, right, bottom = note["region"]
    height, width = image.shape[:2]
    across, down = width / max(right - left, 1), height / max(bottom - top, 1)
    x1, y1, x2, y2 = note["box"]
    corner = round((x1 - left) * across), round((y1 - top) * down)
    opposite = round((x2 - left) * across) - 1, round((y2 - top) * down) - 1
    thick = max(round(max(width, height) / 400), 1)
    scale = max(width, height) / 1600
    cv2.rectangle(image, corner, opposite, _BOX_BGR, thick)
    # OpenCV's font has ASCII only.
    text = f"{note['label']} {note['confidence']:.0%}".encode("ascii", "replace").decode()
    (wide, high), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
    base = max(corner[1] - below, high + below)
    start = min(max(corner[0], 0), max(width - wide, 0))
    cv2.rectangle(image, (start, base - high - below), (start + wide, base + below), _BOX_BGR, -1)
    cv2.putText(image, text, (start, base), cv2.FONT_HERSHEY_SIMPLEX, scale, _TEXT_BGR, thick, cv2.LINE_AA)


def _jpeg(image: NDArray[np.uint8], quality: int) -> bytes:
    try:
        done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    except cv2.error as error:
        raise ValueError(f"OpenCV can't encode this image: {error}") from error
    if not done:
        raise ValueError("OpenCV can't encode this image")
    return np.asarray(data).tobytes()
