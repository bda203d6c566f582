"""Makes snapshots of events, on a thread of its own, so that nothing waits for JPEG or the disk."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import structlog

from framelane.core.worker import Worker
from framelane.footage.jpegs import Note, annotated, encoded, with_note
from framelane.footage.pixels import Region, cut, ready
from framelane.footage.store import Place
from framelane.messages.snapshots import snapshot_message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from framelane.config.sections.footage import SnapshotsConfig
    from framelane.core.events import Event
    from framelane.footage.pixels import Pixels
    from framelane.footage.views import View
    from framelane.messages.detections import Message
    from framelane.telemetry.meters import StreamMeter

log = structlog.get_logger(__name__)

_MOST_WAITING_BYTES = 128 << 20
"""Most memory of frames that wait to be encoded: 40 of 1920 x 1080."""
_SILENT_S = 60.0
"""Seconds between two log lines about a disk that can't be written to."""


class Keeper(Protocol):
    """Keeps files, such as `MediaStore`."""

    def write(self, place: Place, parts: Sequence[bytes]) -> Path:
        """Write a file, whole or not at all; raise OSError if that is impossible."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """A snapshot to make.

    Attributes:
        event: the event.
        name: its id.
        node: where it happened.
        view: the best view of its object, from which other threads may take the pixels at any time.
        whole: the frame's pixels; None if they were given up.
        crop: the object's pixels; None if `whole` has them in the camera's resolution.
        options: how to make it.
        meter: counts what becomes of it.
    """

    event: Event
    name: str
    node: str
    view: View
    whole: Pixels | None
    crop: Pixels | None
    options: SnapshotsConfig
    meter: StreamMeter

    @property
    def size(self) -> int:
        """Bytes of the frame that it holds; several orders may share one."""
        return self.view.frame.size

    def note(self, region: Region) -> Note:
        """Return the note of an image that shows this part of the frame."""
        event, info = self.event, self.view.frame.info
        return Note(
            event=self.name,
            kind=event.kind,
            node=self.node,
            stream=event.stream,
            object=event.object.id,
            label=event.object.label,
            rule=event.rule,
            at=event.at,
            seen_at=info.captured_at,
            pts=info.pts_s,
            confidence=round(self.view.confidence, 4),
            frame=(info.width, info.height),
            box=self.view.xyxy,
            region=(region.left, region.top, region.right, region.bottom),
        )


class _Images(NamedTuple):
    """The images of a view as JPEG; `whole` is empty if there is none."""

    view: View
    options: SnapshotsConfig
    crop: bytes
    whole: bytes

    def noted(self, order: Order) -> tuple[bytes, bytes]:
        """Return both with the notes of an order."""
        info = self.view.frame.info
        everything = Region(0, 0, info.width, info.height)
        whole = with_note(self.whole, order.note(everything)) if self.whole else b""
        return with_note(self.crop, order.note(order.view.region)), whole


class SnapshotMaker(Worker):
    """Encodes, keeps and publishes snapshots. Its thread starts with the first one.

    Args:
        store: keeps them.
        publish: passes on messages; returns at once.
        monotonic: returns seconds, for the log.
    """

    def __init__(
        self,
        store: Keeper,
        publish: Callable[[Message], None],
        monotonic: Callable[[], float],
    ) -> None:
        super().__init__("snapshots")
        self._store = store
        self._publish = publish
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._waiting: deque[Order | str] = deque()
        self._bytes = 0
        self._retained: dict[str, set[str]] = {}
        self._logged_s = float("-inf")
        # An object often leaves a zone and ends at once: both events show the same view.
        self._last: _Images | None = None

    def put(self, order: Order) -> bool:
        """Take an order, from any thread, and return whether there was room. Returns at once."""
        with self._lock:
            room = self._bytes + order.size <= _MOST_WAITING_BYTES and not self.stopping.is_set()
            if room:
                self._waiting.append(order)
                self._bytes += order.size
        if not room:
            order.meter.snapshot_made("queue")
            return False
        self.start()
        self._news.set()
        return True

    def clear(self, stream: str) -> None:
        """Delete what the broker retains of a stream, after what was ordered before; from any thread."""
        if self.alive:
            with self._lock:
                self._waiting.append(stream)
            self._news.set()

    def wake(self) -> None:
        """Make the thread check whether to stop."""
        self._news.set()

    def run_once(self) -> None:
        """Make the next snapshot, or wait for one."""
        self._news.wait()
        self._news.clear()
        while self._make_next():
            pass

    def ended(self) -> None:
        """Make what was ordered before the thread was stopped."""
        while self._make_next():
            pass

    def _make_next(self) -> bool:
        with self._lock:
            if not self._waiting:
                return False
            order = self._waiting.popleft()
            self._bytes -= order.size if isinstance(order, Order) else 0
        if isinstance(order, str):
            for label in self._retained.pop(order, ()):
                self._publish(snapshot_message(order, label, b"", retain=True))
        else:
            self._make(order)
        return True

    def _make(self, order: Order) -> None:
        try:
            images = self._images(order)
            crop, whole = images.noted(order)
            self._keep(order, "jpg", crop)
            if whole:
                self._keep(order, "whole.jpg", whole)
            order.meter.snapshot_made("kept")
        except ValueError as error:
            order.meter.snapshot_made("failed")
            log.warning("snapshot_failed", stream=order.event.stream, error=str(error))
            return
        except OSError as error:
            order.meter.snapshot_made("disk")
            self._complain(error)
        # Also if the disk is full: the broker may have it.
        self._send(order, crop, whole)

    def _images(self, order: Order) -> _Images:
        last = self._last
        if last is None or last.view is not order.view or last.options != order.options:
            self._last = last = _encode(order)
        return last

    def _keep(self, order: Order, suffix: str, data: bytes) -> None:
        self._store.write(Place(order.event.at, order.event.stream, order.name, suffix), [data])

    def _send(self, order: Order, crop: bytes, whole: bytes) -> None:
        options, stream, label = order.options, order.event.stream, order.event.object.label
        if options.publish == "none":
            return
        image = crop
        if options.publish == "whole" and whole:
            image = annotated(whole, options.quality) if options.annotated else whole
        if options.retain:
            self._retained.setdefault(stream, set()).add(label)
        self._publish(snapshot_message(stream, label, image, retain=options.retain))

    def _complain(self, error: OSError) -> None:
        now_s = self._monotonic()
        if now_s - self._logged_s >= _SILENT_S:
            self._logged_s = now_s
            log.warning("snapshot_not_kept", error=str(error))


def _encode(order: Order) -> _Images:
    """Return the crop and the whole frame as JPEG; the latter empty if its pixels were given up.

    Raises:
        ValueError: they can't be encoded.
    """
    options = order.options
    whole = None if order.whole is None else ready(order.whole)
    if order.crop is not None:
        crop = ready(order.crop)
    elif whole is not None:
        crop = cut(whole, order.view.region)
    else:
        raise ValueError("the pixels are gone")
    image = b"" if whole is None else encoded(whole, options.quality, options.longest)
    return _Images(order.view, options, encoded(crop, options.quality), image)
