"""Shows tracked objects of one model to a second one, crop by crop, and keeps what that says of them."""

from __future__ import annotations

from collections import OrderedDict, deque
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
from av import VideoFrame

from framelane.footage.pixels import cut, ready, region_of
from framelane.footage.views import Album, crop_of
from framelane.inference.job import Job
from framelane.pipeline.look import Look
from framelane.pipeline.seen_object import Newest, SeenObject
from framelane.pipeline.spare_time import SpareTime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from framelane.config.sections.model import ModelConfig
    from framelane.core.attributes import Attribute
    from framelane.core.clock import Clock
    from framelane.core.drop_reasons import DropReason
    from framelane.core.frames import FrameInfo, Picture, Result
    from framelane.footage.pixels import FrameOnGpu, Pixels
    from framelane.inference.worker import ModelWorker
    from framelane.pipeline.stream import Stream

_MOST_HELD_BYTES = 32 << 20
"""Most memory for whole frames that show an object best; beyond that only objects' pixels are kept."""
_BATCHES = 4
"""Crops on the way for each slot, in batches: on their way from the GPU, waiting, inferred, and answered.

They are sent and collected when a batch of the first model is done, so each of these takes about that long.
"""
_LEAST_ROOM = 8
"""Crops on the way at least, since room is only looked for when a batch of the first model is done."""
_AGAIN_S = 0.3
"""Least seconds between two looks at an object's pixels for its best view."""
_UNSEEN_S = 5.0
"""Seconds for which the pixels of an unseen object are kept at least."""
_MOST_OBJECTS = 512
"""Most objects per stream that are remembered, those seen last; twice what a tracker follows."""

_NOTHING: OrderedDict[int, SeenObject] = OrderedDict()


@dataclass(frozen=True, slots=True)
class CascadeOptions:
    """What a second model looks at, and when.

    Attributes:
        wanted: bool [classes of the first model], whether objects of a class are looked at.
        every_s: least seconds between two looks at an object, on the stream's time line.
        margin: share of an object's box that a crop shows beyond each side.
        deadline_s: seconds that an object may wait for its look, and a crop for its answer.
    """

    wanted: NDArray[np.bool_]
    every_s: float
    margin: float
    deadline_s: float

    @staticmethod
    def of(section: ModelConfig, labels: tuple[str, ...]) -> CascadeOptions:
        """Return the options of a second model's section, given the first model's labels."""
        wanted = np.array([section.on is None or label in section.on for label in labels], np.bool_)
        return CascadeOptions(wanted, section.every_s, section.margin, section.deadline_s)

    @property
    def objects(self) -> int:
        """Most objects per stream whose views are kept; see ViewOptions."""
        return _MOST_OBJECTS

    @property
    def longest(self) -> int:
        """Return 0: crops are all that is needed; see ViewOptions."""
        return 0


class _Cut(NamedTuple):
    """A copy of an object's pixels, perhaps still on its way from the GPU.

    Attributes:
        image: the pixels.
        frame: the frame that they were cut from.
        origin_xy: where in that frame they begin, in pixels.
    """

    image: Pixels
    frame: FrameInfo
    origin_xy: tuple[int, int]


class _Coming(NamedTuple):
    """A crop on its way from the GPU, for whom, and since when."""

    seen: SeenObject
    crop: _Cut
    since_s: float


class Cascade:
    """A second model and the objects that it looks at. Used by the first model's delivery thread.

    Args:
        name: the second model's key.
        worker: the second model, which serves nothing else.
        first: the model that finds the objects.
        options: what it looks at; may be replaced at any time.
        clock: the clock.
    """

    def __init__(
        self, name: str, worker: ModelWorker, first: ModelWorker, options: CascadeOptions, clock: Clock
    ) -> None:
        self.name = name
        self.worker = worker
        self.options = options
        self._clock = clock
        self._spare = SpareTime(first, worker, clock)
        self._short = False
        self._filter = worker.model.filter()
        self._classifies = worker.model.head.name == "classifier"
        self._album = Album(_MOST_HELD_BYTES, _AGAIN_S)
        self._objects: dict[str, OrderedDict[int, SeenObject]] = {}
        # In the order in which they became due, and in which they were cut.
        self._due: OrderedDict[SeenObject, None] = OrderedDict()
        self._coming: deque[_Coming] = deque()
        self._looks: OrderedDict[Look, None] = OrderedDict()
        self._inbox: deque[tuple[Look, Result | DropReason]] = deque()
        # Objects whose news may have to be told, by stream and track.
        self._news: dict[str, dict[int, SeenObject]] = {}

    @property
    def room(self) -> int:
        """How many more crops may be on their way now; a single one while the first model lacks time."""
        if self._short:
            return int(not self._looks and not self._coming and self._spare.allows_one())
        most = max(_BATCHES * self.worker.slots * self.worker.batcher.most, _LEAST_ROOM)
        return most - len(self._looks) - len(self._coming)

    def attributes(self, stream: str, tracks: Sequence[int]) -> list[Attribute | None]:
        """Return what the second model says of each object; None so far, or if it does not look at it."""
        objects = self._objects.get(stream, _NOTHING)
        return [None if (seen := objects.get(track)) is None else seen.attribute for track in tracks]

    def forget(self, stream: str) -> None:
        """Forget a stream's objects. Crops on their way come back and are counted, without effect."""
        for seen in self._objects.pop(stream, _NOTHING).values():
            self._due.pop(seen, None)
        self._album.forget(stream)
        self._news.pop(stream, None)

    def news(self, stream: str, at_s: float) -> list[int]:
        """Return the tracks about which the second model says something new, to be told now.

        Args:
            stream: id of the stream.
            at_s: the time on its time line.
        """
        waiting = self._news.get(stream)
        if waiting is None:
            return []
        due = [seen for seen in waiting.values() if seen.may_tell(at_s)]
        for seen in due:
            del waiting[seen.track]
        if not waiting:
            del self._news[stream]
        fresh = [seen for seen in due if seen.is_news]
        for seen in fresh:
            seen.tell(at_s)
        return [seen.track for seen in fresh]

    def saw(self, stream: Stream, at_s: float, result: Result, picture: Picture | None) -> None:
        """Look at a frame's tracked objects: remember how they are seen best, and which are due.

        Args:
            stream: the frame's stream.
            at_s: the frame's time on the stream's time line.
            result: its objects, with track ids.
            picture: its pixels; None if they are not there any more.
        """
        found = result.detections
        if picture is None or found.track_id is None:
            return
        chosen = np.flatnonzero((found.track_id > 0) & self.options.wanted[found.class_id])
        if not len(chosen):
            return
        # The best view costs time.
        if not self._short:
            self._album.saw(result.frame, found.select(chosen), picture, self.options)
            kept_s = max(_UNSEEN_S, self.options.deadline_s)
            self._album.forget_unseen(stream.id, result.frame.pts_s - kept_s)
        objects = self._objects.setdefault(stream.id, OrderedDict())
        now_s = self._clock.monotonic()
        for track, box in zip(found.track_id[chosen].tolist(), found.xyxy[chosen].tolist(), strict=True):
            seen = objects.get(track)
            if seen is None:
                seen = objects[track] = SeenObject(stream.id, track, stream.meter.crops(self.name))
            objects.move_to_end(track)
            if seen.due_s is None and not seen.looking and at_s - seen.looked_s >= self.options.every_s:
                seen.due_s = now_s
                self._due[seen] = None
            if seen.due_s is not None:
                seen.see(at_s, now_s)
                seen.newest = Newest(picture, result.frame, tuple(box)) if self._short else None
        while len(objects) > _MOST_OBJECTS:
            self._due.pop(objects.popitem(last=False)[1], None)

    def collect(self) -> None:
        """Take what the second model has answered, and give up what comes too late."""
        now_s = self._clock.monotonic()
        self._short = self._spare.is_short()
        while self._inbox:
            look, outcome = self._inbox.popleft()
            if look in self._looks:
                del self._looks[look]
                self._end(look, outcome, now_s)
        for look in list(self._looks):
            if now_s - look.sent_s <= self.options.deadline_s:
                break
            # What a slot has taken comes back by itself; if not, the model hangs and must get no more.
            if self.worker.batcher.withdraw(look):
                del self._looks[look]
                self._end(look, None, now_s)

    def dispatch(self) -> None:
        """Cut and send crops of due objects while there is room, those that wait longest first."""
        now_s = self._clock.monotonic()
        self._receive(now_s)
        while self._due and self.room > 0:
            seen, _ = self._due.popitem(last=False)
            self._send(seen, now_s)
            seen.end_turn(now_s)
        while self._due:
            seen = next(iter(self._due))
            if seen.due_s is not None and now_s - seen.due_s <= self.options.deadline_s:
                return
            del self._due[seen]
            seen.end_turn(now_s)
            seen.meter.crop_dropped("busy")

    def _send(self, seen: SeenObject, now_s: float) -> None:
        crop = self._cut(seen)
        # The views that follow compete among themselves.
        self._album.forget(seen.stream, seen.track)
        if crop is None:
            return
        seen.looking = True
        seen.meter.crop_sent()
        if isinstance(crop.image, Future):
            self._coming.append(_Coming(seen, crop, now_s))
            self._receive(now_s)
        else:
            self._offer(seen, crop, crop.image, now_s)

    def _receive(self, now_s: float) -> None:
        """Send crops that have come from the GPU, and give up those that don't come."""
        for _ in range(len(self._coming)):
            coming = self._coming.popleft()
            seen, crop, since_s = coming
            if cast("Future[VideoFrame]", crop.image).done():
                try:
                    self._offer(seen, crop, ready(crop.image), since_s)
                except ValueError:
                    seen.looking = False
                    seen.meter.crop_dropped("failed")
            elif now_s - since_s > self.options.deadline_s:
                seen.looking = False
                seen.meter.crop_dropped("late")
            else:
                self._coming.append(coming)

    def _offer(self, seen: SeenObject, crop: _Cut, image: VideoFrame, since_s: float) -> None:
        look = Look(seen, crop.frame, crop.origin_xy, since_s, self._inbox)
        info = replace(crop.frame, received_s=since_s, width=image.width, height=image.height)
        self._looks[look] = None
        self.worker.batcher.offer(Job(info, self._filter, None, look), image)

    def _cut(self, seen: SeenObject) -> _Cut | None:
        """Return the best view of an object since the last time; None if there is none any more."""
        if seen.newest is not None:
            return self._cut_newest(seen.newest)
        view = self._album.best(seen.stream, seen.track)
        image = None if view is None else crop_of(view)
        if view is None or image is None:
            return None
        return _Cut(image, view.frame.info, (view.region.left, view.region.top))

    def _cut_newest(self, newest: Newest) -> _Cut:
        picture, frame, xyxy = newest
        region = region_of(xyxy, (frame.width, frame.height), self.options.margin)
        if isinstance(picture, VideoFrame):
            return _Cut(cut(picture, region), frame, (region.left, region.top))
        fetched = cast("FrameOnGpu", picture).fetch([region], self.options.longest)
        return _Cut(fetched.crops[0], frame, (region.left, region.top))

    def _end(self, look: Look, outcome: Result | DropReason | None, now_s: float) -> None:
        seen, took_s = look.object, now_s - look.sent_s
        seen.looking = False
        if outcome is None or (not isinstance(outcome, str) and took_s > self.options.deadline_s):
            seen.meter.crop_dropped("late")
        elif isinstance(outcome, str):
            seen.meter.crop_dropped("stopping" if outcome == "stopping" else "failed")
        else:
            seen.meter.crop_answered(took_s)
            if self._classifies:
                seen.classified(outcome, look.frame.captured_at)
            else:
                seen.searched(outcome, look.frame.captured_at, look.origin_xy)
            if seen.is_news and seen is self._objects.get(seen.stream, _NOTHING).get(seen.track):
                self._news.setdefault(seen.stream, {})[seen.track] = seen
