"""A recording as a stream's frames: read as `run` reads it, but at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from framelane.core.clock import SystemClock
from framelane.core.errors import SourceError
from framelane.core.frames import Frame, FrameInfo
from framelane.measure.errors import InputError
from framelane.sources.decoding.source_parts import SourceParts
from framelane.sources.ffmpeg.container import ContainerSource
from framelane.sources.image_folder import FolderSource
from framelane.sources.interfaces.source import kind_of
from framelane.sources.pacing import FrameRateLimit
from framelane.sources.timing.timeline import Timeline
from framelane.telemetry.meters import StreamMeter

if TYPE_CHECKING:
    from collections.abc import Iterator

    import av

    from framelane.config.sections.stream import StreamConfig


class ClipFrame(NamedTuple):
    """A decoded frame.

    Attributes:
        number: its place among the clip's pictures, from 1.
        at_s: seconds since the first.
        picture: its pixels.
        frame: what is inferred; None if it exceeds the stream's `fps`.
    """

    number: int
    at_s: float
    picture: av.VideoFrame
    frame: Frame | None


class Clip:
    """The frames of a file or a folder of images, with a stream's options. Use it as a context manager.

    Its capture times are seconds since the first frame, so that two runs are equal.

    Args:
        path: the file or folder.
        config: the stream.

    Raises:
        InputError: it is neither, or can't be opened.
    """

    def __init__(self, path: str, config: StreamConfig) -> None:
        self._path = path
        self._config = config
        meter = StreamMeter(config.id)
        try:
            kind = kind_of(path)
            if kind == "folder":
                self._source: ContainerSource | FolderSource = FolderSource(path, meter)
            elif kind == "file":
                self._source = ContainerSource(path, config, SourceParts(SystemClock(), meter))
            else:
                raise InputError("the clip is not a file; record the camera and name the file with --clip")
        except SourceError as error:
            raise self._unusable(error) from None

    def __enter__(self) -> Clip:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()

    def frames(self) -> Iterator[ClipFrame]:
        """Decode to the end.

        Raises:
            InputError: it holds no picture that can be decoded, or ends in the middle of one.
        """
        fps = self._source.info.fps
        timeline, limit = Timeline(1 / fps if fps else None), FrameRateLimit(self._config.fps)
        number, inferred, first_s = 0, 0, 0.0
        try:
            for decoded in self._source.pictures():
                placed_s = timeline.place(decoded.pts_s)
                number += 1
                if number == 1:
                    first_s = placed_s
                at_s, frame = placed_s - first_s, None
                if limit.due(placed_s):
                    frame = self._frame(decoded.picture, inferred, at_s)
                    inferred += 1
                yield ClipFrame(number, at_s, decoded.picture, frame)
        except SourceError as error:
            raise self._unusable(error) from None
        if not number:
            raise InputError(f"{self._path} contains no picture that can be decoded")

    def _frame(self, picture: av.VideoFrame, index: int, at_s: float) -> Frame:
        width, height = picture.width, picture.height
        info = FrameInfo(self._config.id, index, at_s, at_s, "media", at_s, width, height)
        return Frame(info, picture)

    def _unusable(self, error: SourceError) -> InputError:
        return InputError(f"{self._path} can't be played: {error}")
