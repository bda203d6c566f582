"""Chooses which of a container's video streams to show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from av.stream import Discard, Disposition

from framelane.core.errors import SourceError
from framelane.sources.network.ffmpeg_errors import NO_DECODER, no_video_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from av.container import InputContainer
    from av.video.stream import VideoStream

_STILLS = frozenset({"mjpeg", "png", "bmp", "gif", "webp", "tiff"})
"""Codecs of cover images. Not every file marks its cover as one."""


def choose_video(container: InputContainer, wanted: int | None) -> tuple[VideoStream, str]:
    """Return the video stream to show, and a note if there is a choice.

    It is the largest one that can be decoded, and never a cover image.

    Args:
        container: with all streams known.
        wanted: the stream's `video`: the index among video streams without covers, from 0; None for the
            largest.

    Raises:
        SourceError: there is no such video, or none that can be decoded.
    """
    videos = [each for each in container.streams.video if not each.disposition & Disposition.attached_pic]
    if not videos:
        raise no_video_error(audio=False)
    if wanted is None:
        decodable = [each for each in videos if _decodable(each)]
        if not decodable:
            raise SourceError("codec", NO_DECODER)
        chosen = max(decodable, key=_worth)
    elif wanted < len(videos):
        chosen = videos[wanted]
    else:
        raise SourceError("no-video", f"there is no video {wanted}: {numbered(len(videos))}")
    if not _decodable(chosen):
        raise SourceError("codec", NO_DECODER)
    return chosen, _note(videos, chosen)


def numbered(count: int) -> str:
    """Return how many videos there are, for the error about a missing one."""
    return "it has one, number 0" if count == 1 else f"it has {count}, from 0 to {count - 1}"


def discard_others(container: InputContainer, video: VideoStream) -> None:
    """Make FFmpeg drop all streams but one, so that it does not read or fetch them."""
    for stream in container.streams:
        if stream.index != video.index:
            stream.discard = Discard.all


def _decodable(video: VideoStream) -> bool:
    # If FFmpeg has no decoder for a stream, PyAV gives it no context.
    return video.codec_context is not None


def _worth(video: VideoStream) -> tuple[bool, int, bool]:
    context = video.codec_context
    moves = context.name not in _STILLS
    return moves, context.width * context.height, bool(video.disposition & Disposition.default)


def _note(videos: Sequence[VideoStream], chosen: VideoStream) -> str:
    if len(videos) == 1:
        return ""
    context, number = chosen.codec_context, videos.index(chosen)
    size = f", {context.width}x{context.height}" if context.width else ""
    return f"video {number} of {len(videos)} ({context.name}{size}) is shown"
