"""Remembers the best view of each object: where it is large, certain, whole and sharp."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Protocol, cast

import av

from framelane.footage.pixels import cut, region_of, sharpness

if TYPE_CHECKING:
    from framelane.core.frames import Detections, FrameInfo, Picture
    from framelane.footage.pixels import FrameOnGpu, Pixels, Region

_MOST_HELD_BYTES = 128 << 20
"""Most memory for whole frames, per model; the oldest are given up first, and only their crops kept."""
_AGAIN_S = 0.15
"""Least seconds between two looks at an object's pixels."""
_BETTER = 1.05
"""By which factor a view must be better to replace another, so that equal ones don't."""
_CUT_OFF = 0.3
"""Factor for a box that touches the border: part of the object is not in the frame."""
_BORDER = 0.004
"""Share of the frame within which a box touches the border."""


class ViewOptions(Protocol):
    """How views are kept: a stream's `snapshots`, or a second model's options."""

    @property
    def margin(self) -> float:
        """Share of an object's box that a crop shows beyond each side."""
        ...

    @property
    def objects(self) -> int:
        """Most objects per stream, those seen last."""
        ...

    @property
    def longest(self) -> int:
        """Most pixels on the longer side of a whole frame that comes from the GPU; 0 for none."""
        ...


class HeldFrame:
    """A frame in which some objects are seen best.

    Attributes:
        info: the frame.
        picture: its pixels, reduced if they come from the GPU; None once they were given up.
        size: bytes of these pixels.
        views: the views that need it.
    """

    __slots__ = ("info", "picture", "size", "views")

    def __init__(self, info: FrameInfo) -> None:
        self.info = info
        self.picture: Pixels | None = None
        self.size = 0
        self.views: list[View] = []

    def hold(self, picture: Picture, longest: int) -> None:
        """Take the pixels: those in host memory as they are, from the GPU only what the views need."""
        if isinstance(picture, av.VideoFrame):
            self.picture = picture
            self.size = sum(plane.buffer_size for plane in picture.planes)
            return
        fetched = cast("FrameOnGpu", picture).fetch([view.region for view in self.views], longest)
        self.picture, self.size = fetched.whole, fetched.whole_bytes
        for view, crop in zip(self.views, fetched.crops, strict=True):
            view.crop = crop


class View:
    """An object as one frame shows it.

    Attributes:
        frame: that frame.
        xyxy: the object's box there, in pixels.
        confidence: of the box.
        score: how good the view is.
        margin: share of the box that a crop shows beyond each of its sides.
        looked_s: time of the newest look at the object's pixels.
        seen_s: time of the newest frame that showed the object.
        crop: the object's pixels, if they are kept apart from the frame's.
    """

    __slots__ = ("confidence", "crop", "frame", "looked_s", "margin", "score", "seen_s", "xyxy")

    def __init__(
        self,
        frame: HeldFrame,
        xyxy: tuple[float, float, float, float],
        confidence: float,
        score: float,
        margin: float,
    ) -> None:
        self.frame = frame
        self.xyxy = xyxy
        self.confidence = confidence
        self.score = score
        self.margin = margin
        self.looked_s = self.seen_s = frame.info.pts_s
        self.crop: Pixels | None = None

    @property
    def region(self) -> Region:
        """The part of the frame that a crop shows."""
        info = self.frame.info
        return region_of(self.xyxy, (info.width, info.height), self.margin)


class Album:
    """The best views of one model's objects, by stream and track. One thread at a time.

    Args:
        most_bytes: most memory for whole frames.
        again_s: least seconds between two looks at an object's pixels.
    """

    def __init__(self, most_bytes: int = _MOST_HELD_BYTES, again_s: float = _AGAIN_S) -> None:
        self.given_up = 0
        """Whole frames that were given up for lack of memory."""
        self._most_bytes = most_bytes
        self._again_s = again_s
        self._views: dict[str, OrderedDict[int, View]] = {}
        self._held: OrderedDict[int, HeldFrame] = OrderedDict()
        self._bytes = 0

    @property
    def held_bytes(self) -> int:
        """Memory of whole frames."""
        return self._bytes

    def saw(self, info: FrameInfo, found: Detections, picture: Picture, options: ViewOptions) -> None:
        """Look at a frame's tracked objects. Its pixels are kept while it shows one of them best."""
        if found.track_id is None:
            return
        views = self._views.setdefault(info.stream, OrderedDict())
        frame: HeldFrame | None = None
        for track, box, confidence in zip(
            found.track_id.tolist(), found.xyxy.tolist(), found.confidence.tolist(), strict=True
        ):
            if track <= 0:
                continue
            best = views.get(track)
            if best is not None:
                views.move_to_end(track)
                best.seen_s = info.pts_s
            score = _better_score(best, box, confidence, info, picture, self._again_s)
            if score is None:
                continue
            if best is not None:
                self._drop(best)
            frame = frame or HeldFrame(info)
            view = views[track] = View(frame, tuple(box), confidence, score, options.margin)
            frame.views.append(view)
        while len(views) > options.objects:
            self._drop(views.popitem(last=False)[1])
        if frame is not None and frame.views:
            frame.hold(picture, options.longest)
            self._hold(frame)

    def best(self, stream: str, track: int) -> View | None:
        """Return the best view of an object; None if there is none."""
        views = self._views.get(stream)
        return None if views is None else views.get(track)

    def forget(self, stream: str, track: int | None = None) -> None:
        """Forget an object, or all of a stream."""
        views = self._views.get(stream)
        if views is None:
            return
        for each in [track] if track is not None else list(views):
            view = views.pop(each, None)
            if view is not None:
                self._drop(view)
        if not views:
            del self._views[stream]

    def forget_unseen(self, stream: str, since_s: float) -> None:
        """Forget a stream's objects that no frame has shown since this time."""
        views = self._views.get(stream)
        while views:
            track, view = next(iter(views.items()))
            if view.seen_s >= since_s:
                return
            self.forget(stream, track)

    def _hold(self, frame: HeldFrame) -> None:
        self._held[id(frame)] = frame
        self._bytes += frame.size
        while self._bytes > self._most_bytes and self._held:
            self._give_up(next(iter(self._held.values())))

    def _drop(self, view: View) -> None:
        frame = view.frame
        frame.views.remove(view)
        if not frame.views:
            self._let_go(frame)

    def _give_up(self, frame: HeldFrame) -> None:
        """Keep only the objects of a frame."""
        for view in frame.views:
            view.crop = crop_of(view)
        self._let_go(frame)
        frame.picture = None
        self.given_up += 1

    def _let_go(self, frame: HeldFrame) -> None:
        if self._held.pop(id(frame), None) is not None:
            self._bytes -= frame.size


def crop_of(view: View) -> Pixels | None:
    """Return a copy of the object's pixels with their margin; None if the frame's were given up without one."""
    picture = view.frame.picture
    if view.crop is None and isinstance(picture, av.VideoFrame):
        return cut(picture, view.region)
    return view.crop


def _sharpness(picture: Picture, region: Region) -> float | None:
    if isinstance(picture, av.VideoFrame):
        return sharpness(picture, region)
    return cast("FrameOnGpu", picture).sharpness(region)


def _better_score(
    best: View | None,
    box: list[float],
    confidence: float,
    info: FrameInfo,
    picture: Picture,
    again_s: float,
) -> float | None:
    """Return how good an object's view is; None unless it is better than the best one so far."""
    plain = _plain_score(box, confidence, info)
    if best is not None and not (plain > best.score * _BETTER and info.pts_s - best.looked_s >= again_s):
        return None
    left, top, right, bottom = box
    sharp = _sharpness(picture, region_of((left, top, right, bottom), (info.width, info.height), 0.0))
    if sharp is None:
        return None
    score = plain * sharp
    if best is None:
        return score
    best.looked_s = info.pts_s
    return score if score > best.score * _BETTER else None


def _plain_score(box: list[float], confidence: float, info: FrameInfo) -> float:
    """Return how good a view may be at most, as confidence times area in pixels."""
    left, top, right, bottom = box
    wide, high = info.width * _BORDER, info.height * _BORDER
    whole = left > wide and top > high and right < info.width - wide and bottom < info.height - high
    return confidence * (right - left) * (bottom - top) * (1.0 if whole else _CUT_OFF)
