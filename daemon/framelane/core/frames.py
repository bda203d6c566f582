"""The values that pass through the pipeline: Frame, Detections and Result."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ClockName = Literal["rtcp", "playlist", "receive", "media"]


class Picture(Protocol):
    """Decoded pixels in the decoder's memory; on a CPU an `av.VideoFrame` in its own pixel format."""

    @property
    def width(self) -> int:
        """Width in pixels."""
        ...

    @property
    def height(self) -> int:
        """Height in pixels."""
        ...


@dataclass(frozen=True, slots=True)
class FrameInfo:
    """Everything about a frame except its pixels; the Result keeps it after the pixels are freed.

    Attributes:
        stream: id of the stream.
        index: position among the stream's frames that were due for inference, from 0; a jump means drops.
        pts_s: presentation time in the stream's own time line, in seconds.
        captured_at: Unix time in seconds at which the frame was captured, as far as `clock` can tell.
        clock: "rtcp" (the camera's sender reports), "playlist" (the dates of an HLS playlist), "receive"
            (this host's clock, on arrival) or "media" (a file's time line).
        received_s: monotonic time in seconds at which the frame was decoded.
        width: source width in pixels.
        height: source height in pixels.
        source_pts_s: the picture's own time stamp in seconds, which may repeat or jump; None if it has none.
    """

    stream: str
    index: int
    pts_s: float
    captured_at: float
    clock: ClockName
    received_s: float
    width: int
    height: int
    source_pts_s: float | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame of one stream."""

    info: FrameInfo
    picture: Picture


@dataclass(frozen=True, slots=True)
class Detections:
    """The objects found in one frame, as a struct of arrays of length N, highest confidence first.

    Attributes:
        xyxy: float32 [N, 4], corners in source pixels.
        confidence: float32 [N], 0 to 1.
        class_id: int32 [N].
        track_id: int64 [N], or None if no tracker ran.
        zones: object [N]: for each object the names of the zones that it is in, a tuple; None if all are in none.
        masks: object [N]: for each object its outlines, a tuple of float32 [points, 2] in source pixels; None
            if the model gives no masks.
        keypoints: float32 [N, K, 3], x and y in source pixels and confidence; None if the model gives none.
        corners: float32 [N, 4, 2], corners of the rotated boxes in source pixels, in order; None if boxes are
            upright. `xyxy` is what encloses them.
        angle: float32 [N], how far each rotated box is turned clockwise, in radians from -pi/2 to pi/2.
        attributes: object [N]: for each object what second models say of it, a tuple of Attribute; None if none
            of them looks at the model's objects.
    """

    xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int32]
    track_id: NDArray[np.int64] | None = None
    zones: NDArray[np.object_] | None = None
    masks: NDArray[np.object_] | None = None
    keypoints: NDArray[np.float32] | None = None
    corners: NDArray[np.float32] | None = None
    angle: NDArray[np.float32] | None = None
    attributes: NDArray[np.object_] | None = None

    def __len__(self) -> int:
        return len(self.confidence)

    def select(self, keep: NDArray[np.bool_] | NDArray[np.intp]) -> Detections:
        """Return the rows that `keep` selects, by mask or by index."""
        columns = {name: column for name in _COLUMNS if (column := getattr(self, name)) is not None}
        return Detections(**{name: column[keep] for name, column in columns.items()})

    def with_area(self) -> Detections:
        """Remove boxes without width or height.

        A model may detect something in the letterbox border, and clipping to the frame leaves a box of no
        size.
        """
        extents = self.xyxy[:, 2:] > self.xyxy[:, :2]
        return self if extents.all() else self.select(extents[:, 0] & extents[:, 1])


_COLUMNS = tuple(each.name for each in fields(Detections))


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What consumers are told about the model of a result.

    Attributes:
        name: the model's key in the configuration.
        hash: first 12 hex digits of the model file's SHA-256.
        backend: what ran it, such as "onnxruntime".
        labels: class names by class id.
    """

    name: str
    hash: str
    backend: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What a model found in one frame, and how long it took.

    Attributes:
        frame: the frame's identity and times.
        model: the model that ran.
        detections: objects that passed the stream's classes and thresholds, in source pixels.
        queued_s: seconds from decoded frame to batch start.
        inferred_s: seconds from batch start to detections.
    """

    frame: FrameInfo
    model: ModelInfo
    detections: Detections
    queued_s: float
    inferred_s: float
