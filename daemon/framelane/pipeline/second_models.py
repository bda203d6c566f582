"""The second models of one model: all that look at its tracked objects."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from framelane.core.events import Event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.core.events import Occupancy
    from framelane.core.frames import Picture
    from framelane.inference.job import Delivery
    from framelane.pipeline.cascade import Cascade
    from framelane.pipeline.stream import Stream


class SecondModels:
    """What a model's analysis stage asks of its second models. Used by the model's delivery thread.

    Attributes:
        cascades: one per second model; replaced as a whole, from any thread.
    """

    def __init__(self) -> None:
        self.cascades: tuple[Cascade, ...] = ()

    def begin(self) -> None:
        """Take in answers, before a batch is looked at."""
        for cascade in self.cascades:
            cascade.collect()

    def saw(self, stream: Stream, at_s: float, delivery: Delivery, picture: Picture | None) -> Delivery:
        """Look at a frame's tracked objects, and return its delivery with what is known of them.

        Args:
            stream: the frame's stream.
            at_s: the frame's time on the stream's time line.
            delivery: the frame's result, with track ids.
            picture: the frame's pixels; None if they are not there any more.
        """
        result = delivery.result
        cascades, ids = self.cascades, result.detections.track_id
        if not cascades or ids is None:
            return delivery
        for cascade in cascades:
            cascade.saw(stream, at_s, result, picture)
        tracks = ids.tolist()
        columns = [cascade.attributes(stream.id, tracks) for cascade in cascades]
        if not any(map(any, columns)):
            return delivery
        attributes = np.empty(len(tracks), np.object_)
        for number, told in enumerate(zip(*columns, strict=True)):
            attributes[number] = tuple(filter(None, told))
        found = replace(result.detections, attributes=attributes)
        return delivery._replace(result=replace(result, detections=found))

    def news(self, stream: str, at_s: float) -> list[int]:
        """Return the tracks of a stream whose news are to be told now, at this time on its time line."""
        return [track for cascade in self.cascades for track in cascade.news(stream, at_s)]

    def end(self) -> None:
        """Send crops, after a batch was looked at."""
        for cascade in self.cascades:
            cascade.dispatch()

    def described(self, happenings: Sequence[Event | Occupancy]) -> Sequence[Event | Occupancy]:
        """Return what happened, with what is known of the objects."""
        return [self._described(each) if isinstance(each, Event) else each for each in happenings]

    def forget(self, stream: str) -> None:
        """Forget a stream's objects."""
        for cascade in self.cascades:
            cascade.forget(stream)

    def _described(self, event: Event) -> Event:
        tracks = [event.object.track_id]
        told = (cascade.attributes(event.stream, tracks)[0] for cascade in self.cascades)
        attributes = tuple(each for each in told if each is not None)
        return replace(event, object=replace(event.object, attributes=attributes)) if attributes else event
