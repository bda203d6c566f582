"""One page that watches: its channels, and a bounded queue of records for each."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Annotated, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from framelane.live.feed import Want  # noqa: TC001 - pydantic reads annotations
from framelane.live.records import HEADER_BYTES, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.core.clock import Clock
    from framelane.live.hub import Feeds
    from framelane.live.records import Record

log = structlog.get_logger(__name__)

MOST_CHANNELS = 256
_MOST_WAIT_S = 1.0
_MOST_BYTES = 4 << 20
"""Per channel: more than one key frame of 4K video."""
_MOST_BOXES = 64
_MESSAGE_BYTES = 128 << 10
"""A message is sent when it has this size: larger ones save nothing and delay other channels."""
_Channel = Annotated[int, Field(ge=0, lt=1 << 16)]


class _Command(BaseModel):
    model_config = ConfigDict(extra="forbid")
    channel: _Channel


class Watch(_Command):
    """Show a stream on a channel; what the channel showed before ends."""

    op: Literal["watch"]
    stream: Annotated[str, Field(min_length=1, max_length=255)]
    want: Want


class Unwatch(_Command):
    """End a channel."""

    op: Literal["unwatch"]


_COMMANDS: TypeAdapter[Watch | Unwatch] = TypeAdapter(Annotated[Watch | Unwatch, Field(discriminator="op")])


class CommandError(ValueError):
    """A page sent an invalid command, or too many."""


class Channel:
    """The records of one stream that wait for one viewer.

    If they wait too long or are too large, all video is dropped up to the next key frame. Only the newest
    still and the newest state of a sub-stream wait.

    Args:
        number: the page's number for it.
        watch: what it shows.
        clock: the source of time.
        notify: called when a record waits.
    """

    def __init__(self, number: int, watch: Watch, clock: Clock, notify: Callable[[], None]) -> None:
        self.number = number
        self.watch = watch
        self.skipped = 0
        """How many pictures were dropped, besides those before the first key frame."""
        self._clock = clock
        self._notify = notify
        self._lock = threading.Lock()
        self._waiting: deque[tuple[float, Record]] = deque()
        self._state: Record | None = None
        self._bytes = 0
        self._skips = True
        self._begun = False
        self._since_s = 0.0

    def put(self, record: Record) -> None:
        """See Sink."""
        now_s = self._clock.monotonic()
        with self._lock:
            if record.kind is Kind.PREVIEW:
                self._state = record
            elif not self._queue(record, now_s):
                return
        self._notify()

    def take(self) -> Record | None:
        """Return the oldest record; None if none waits."""
        with self._lock:
            state, self._state = self._state, None
            if state is not None:
                return state
            if not self._waiting:
                return None
            _, record = self._waiting.popleft()
            self._bytes -= len(record.payload)
            return record

    def _queue(self, record: Record, now_s: float) -> bool:
        """Queue a record; return whether it is to be sent."""
        if record.kind is Kind.VIDEO and not self._accept(record, now_s):
            return False
        if record.kind is Kind.STILL:
            self._clear()
        elif record.kind is Kind.BOXES and len(self._waiting) > _MOST_BOXES:
            self._skip()
        self._waiting.append((now_s, record))
        self._bytes += len(record.payload)
        return True

    def _accept(self, record: Record, now_s: float) -> bool:
        """Return whether a video record is to be sent; begins and ends skipping."""
        waits_s = now_s - self._waiting[0][0] if self._waiting else 0.0
        if waits_s > _MOST_WAIT_S or self._bytes + len(record.payload) > _MOST_BYTES:
            self._skip()
        # A key frame from before the first one belongs to a new time line: a worker process has started again.
        if record.key and (self._skips or record.media_s < self._since_s):
            self._since_s = record.media_s
            self._skips, self._begun = False, True
        if self._skips:
            self.skipped += self._begun
        # Pictures that are shown before the first key frame, but come after it, need some from before it.
        return not self._skips and record.media_s >= self._since_s

    def _skip(self) -> None:
        self.skipped += sum(record.kind is Kind.VIDEO for _, record in self._waiting)
        self._clear()
        self._skips = True

    def _clear(self) -> None:
        self._waiting.clear()
        self._bytes = 0


class Viewer:
    """One page's view. Commands and `take` are for one thread; records come on others.

    Args:
        feeds: where records come from.
        clock: the source of time.
        notify: called on any thread when there is something to take.
        most_channels: how many it may have at once.
    """

    def __init__(
        self,
        feeds: Feeds,
        clock: Clock,
        notify: Callable[[], None],
        most_channels: int = MOST_CHANNELS,
    ) -> None:
        self._feeds = feeds
        self._clock = clock
        self._notify = notify
        self._most_channels = most_channels
        self._channels: dict[int, Channel] = {}
        # In turns, so that no channel holds up the others.
        self._turns: deque[Channel] = deque()

    def command(self, text: str) -> None:
        """Do what the page asks for.

        Raises:
            CommandError: it is no command, or one channel too many.
        """
        try:
            command = _COMMANDS.validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise CommandError(f"no command: {first['msg']}") from error
        self._end(command.channel)
        if isinstance(command, Unwatch):
            return
        if len(self._channels) >= self._most_channels:
            raise CommandError(f"more than {self._most_channels} channels")
        channel = Channel(command.channel, command, self._clock, self._notify)
        self._channels[command.channel] = channel
        self._turns.append(channel)
        self._feeds.watch(command.stream, command.want, channel)

    def take(self) -> bytes:
        """Return the next message: some records, or nothing if none waits."""
        pieces: list[bytes] = []
        size = idle = 0
        while idle < len(self._turns) and size < _MESSAGE_BYTES:
            channel = self._turns[0]
            self._turns.rotate(-1)
            record = channel.take()
            if record is None:
                idle += 1
                continue
            idle = 0
            pieces += (record.header(channel.number), record.payload)
            size += HEADER_BYTES + len(record.payload)
        return b"".join(pieces)

    def close(self) -> None:
        """End all channels; may be called twice."""
        for number in list(self._channels):
            self._end(number)

    def _end(self, number: int) -> None:
        channel = self._channels.pop(number, None)
        if channel is not None:
            self._turns.remove(channel)
            self._feeds.unwatch(channel.watch.stream, channel.watch.want, channel)
            if channel.skipped:
                log.info("viewer_skipped", stream=channel.watch.stream, pictures=channel.skipped)
