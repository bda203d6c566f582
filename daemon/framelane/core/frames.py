"""The three values that travel through the pipeline: Frame, Detections and Result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ClockName = Literal["rtcp", "receive", "media"]


class Picture(Protocol):
    """Decoded pixels where the decoder left them; on a CPU an `av.VideoFrame` in its own pixel format."""

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
    """Everything known of a frame but its pixels; outlives them in the Result.

    Attributes:
        stream: id of the stream.
        index: position among the stream's frames that were due for inference, from 0; a jump means drops.
        pts_s: presentation time in the stream's own time line, in seconds.
        captured_at: Unix time in seconds at which the frame was captured, as far as `clock` can tell.
        clock: "rtcp" (the camera's sender reports), "receive" (this host, on arrival) or "media" (a file's time line).
        received_s: monotonic time in seconds at which the decoded frame was in hand.
        width: source width in pixels.
        height: source height in pixels.
    """

    stream: str
    index: int
    pts_s: float
    captured_at: float
    clock: ClockName
    received_s: float
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame of one stream."""

    info: FrameInfo
    picture: Picture


@dataclass(frozen=True, slots=True)
class Detections:
    """The objects found in one frame, as a struct of arrays of length N, best confidence first.

    Attributes:
        xyxy: float32 [N, 4], corners in source pixels.
        confidence: float32 [N], 0 to 1.
        class_id: int32 [N].
        track_id: int64 [N], or None where no tracker ran.
    """

    xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    class_id: NDArray[np.int32]
    track_id: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.confidence)

    def select(self, keep: NDArray[np.bool_] | NDArray[np.intp]) -> Detections:
        """Those rows that `keep` names, by mask or by index."""
        track_id = None if self.track_id is None else self.track_id[keep]
        return Detections(self.xyxy[keep], self.confidence[keep], self.class_id[keep], track_id)

    def with_area(self) -> Detections:
        """Without boxes that have no width or height.

        A model may see something in the border around the picture; clipped to the picture, nothing is left of it.
        """
        extents = self.xyxy[:, 2:] > self.xyxy[:, :2]
        return self if extents.all() else self.select(extents[:, 0] & extents[:, 1])


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a consumer learns of the model behind a result.

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
    """What a model found in one frame, in source pixels, and how long it took.

    Attributes:
        frame: the frame's identity and times.
        model: the model that ran.
        detections: objects that passed the stream's classes and thresholds.
        queued_s: seconds from frame in hand to batch start.
        inferred_s: seconds from batch start to detections.
    """

    frame: FrameInfo
    model: ModelInfo
    detections: Detections
    queued_s: float
    inferred_s: float
