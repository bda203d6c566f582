"""Notes about an open source, for the stream's state and for `framelane probe`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from framelane.sources.ffmpeg.container import ContainerSource
from framelane.sources.http.hls import HlsSource
from framelane.sources.rtsp.source import RtspSource

if TYPE_CHECKING:
    from framelane.sources.http.opening import HttpSource
    from framelane.sources.image_folder import FolderSource
    from framelane.telemetry.stream_status import StreamStatus

log = structlog.get_logger(__name__)

_UNMARKED = "one frame late: the camera does not mark where its pictures end"


def remarks(source: HttpSource | RtspSource | FolderSource, left: str) -> dict[str, str]:
    """Return notes by subject.

    Args:
        source: just opened.
        left: why FFmpeg reads it instead of our own reader; else empty.
    """
    found = {"reader": f"read by FFmpeg: {left}" if left else ""}
    if isinstance(source, ContainerSource) and source.parser_reason:
        found["parser"] = f"read through FFmpeg's parser, one frame late: {source.parser_reason}"
    if isinstance(source, (RtspSource, ContainerSource, HlsSource)):
        found["video"] = source.choice_note
    return {about: text for about, text in found.items() if text}


def later_notes(source: HttpSource | RtspSource | FolderSource) -> dict[str, str]:
    """Return notes that are known only after some pictures have come."""
    found = {}
    if isinstance(source, RtspSource) and source.unmarked:
        found["marks"] = _UNMARKED
    if isinstance(source, HlsSource) and source.date_note:
        found["dates"] = source.date_note
    return found


class StreamNotes:
    """Keeps the notes about one stream's source in its state; `look` is called periodically."""

    def __init__(self, stream: str, status: StreamStatus) -> None:
        self._stream = stream
        self._status = status
        self._stamps = ""

    def forget(self) -> None:
        """Forget the notes about the last connection."""
        self._stamps = ""
        self._status.forget_notes()

    def look(self, source: HttpSource | RtspSource) -> None:
        """Update the notes that have changed."""
        for about, note in later_notes(source).items():
            self._status.noted(about, note)
        trouble = ""
        if isinstance(source, RtspSource) or (isinstance(source, ContainerSource) and source.paced):
            trouble = source.stamp_trouble
        if trouble != self._stamps:
            self._stamps = trouble
            self._status.noted("stamps", trouble)
            event = "time_stamps_wrong" if trouble else "time_stamps_right"
            log.warning(event, stream=self._stream, text=trouble or "they agree with our clock again")
