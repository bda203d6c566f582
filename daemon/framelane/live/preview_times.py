"""Finds the moment in a sub-stream's video at which a frame of the stream itself was captured."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from framelane.live.mp4.init_segment import TICKS_PER_S

if TYPE_CHECKING:
    from framelane.core.clock import Clock
    from framelane.core.frames import FrameInfo
    from framelane.sources.timing.arrival_clock import Arrival

_MOST_APART_S = 1.0
"""Most seconds between what the camera's clock and our clock say.

Beyond that the reports of the two sessions do not belong to the same clock.
"""
_PLACED = 64
"""Frames whose moment is remembered: all models of a stream have the same one."""
_REMEMBERED = 1024
"""Pictures of the stream whose arrival is known: 10 s at 100 per second, longer than any result takes."""


class _Moment(NamedTuple):
    """When a picture was captured: by the camera's clock, None without its reports; and by ours."""

    camera_s: float | None
    ours_s: float


class PreviewTimes:
    """Compares the pictures of a stream with those of its sub-stream, which has time stamps of its own.

    Both sessions tell when their pictures were captured. If both have the reports of the camera's clock, that
    is what is compared, else the times of arrival, without jitter as far as the time stamps can remove it.

    Args:
        clock: this host's clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._shown: tuple[_Moment, float] | None = None
        self._known: dict[int, _Moment] = {}
        self._placed: dict[int, float] = {}

    def shown(self, arrival: Arrival, media_s: float) -> None:
        """Note a picture of the sub-stream and its media time."""
        self._shown = self._moment(arrival), media_s

    def unit(self, pts_s: float, arrival: Arrival) -> None:
        """Note a picture of the stream itself and its own time stamp."""
        self._known[_ticks(pts_s)] = self._moment(arrival)
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]

    def media_s(self, frame: FrameInfo) -> float | None:
        """Return the media time in the sub-stream at which a frame was captured; None without pictures.

        It is the same for all results of a frame.
        """
        if self._shown is None:
            return None
        placed_s = self._placed.get(frame.index)
        if placed_s is None:
            placed_s = self._placed[frame.index] = self._place(frame, *self._shown)
            if len(self._placed) > _PLACED:
                del self._placed[next(iter(self._placed))]
        return placed_s

    def _place(self, frame: FrameInfo, shown: _Moment, media_s: float) -> float:
        moment = None if frame.source_pts_s is None else self._known.get(_ticks(frame.source_pts_s))
        if moment is None:
            # A file, or a result of a picture from before the first viewer.
            return media_s + frame.captured_at - shown.ours_s
        by_ours_s = moment.ours_s - shown.ours_s
        if moment.camera_s is None or shown.camera_s is None:
            return media_s + by_ours_s
        by_camera_s = moment.camera_s - shown.camera_s
        return media_s + (by_camera_s if abs(by_camera_s - by_ours_s) <= _MOST_APART_S else by_ours_s)

    def _moment(self, arrival: Arrival) -> _Moment:
        if arrival.clock == "receive":
            return _Moment(None, arrival.captured_at)
        ours_s = arrival.at_s + self._clock.wall() - self._clock.monotonic()
        return _Moment(arrival.captured_at if arrival.clock == "rtcp" else None, ours_s)


def _ticks(seconds: float) -> int:
    return round(seconds * TICKS_PER_S)
