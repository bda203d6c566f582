"""Reads pages of the newest events from the journal, on any thread."""

from __future__ import annotations

import base64
import binascii
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, NamedTuple

import orjson

from framelane.core.errors import RequestError
from framelane.events.inbox import Look
from framelane.messages.history import HistoryPage, PastEvent
from framelane.messages.rows import MOST_ROW, found_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.events.disk import Newest
    from framelane.messages.history import Wanted

_AT_ONCE = 500
"""Rows of one look, so that the journal's thread is held up for a moment only."""
_ANSWER_S = 5.0
_SEARCH_S = 2.0
"""Most seconds that one page is searched for; the next page goes on from there."""


class Place(NamedTuple):
    """Where to read: in the file of this identity, between two rows."""

    identity: str
    after_row: int
    before_row: int

    @property
    def cursor(self) -> str:
        """The place as an opaque text."""
        text = f"{self.identity}.{self.after_row}.{self.before_row}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


class EventHistory:
    """The events of the journal, delivered or not; bounded by the `journal` section.

    Args:
        look: has the journal's thread look into its file; returns why newer events may be missing, or None.
        most_kept: events that are kept; 0 for none.
        monotonic: returns seconds.
    """

    def __init__(
        self,
        look: Callable[[Look], str | None],
        most_kept: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look = look
        self._most_kept = most_kept
        self._monotonic = monotonic

    def page(self, wanted: Wanted, cursor: str | None, most: int) -> HistoryPage:
        """Return the newest events, or those of a cursor; at most `most`, and fewer if they are rare.

        Raises:
            RequestError: `off`: none are kept; `cursor`: it makes no sense; `gone`: it is of another file;
                `unavailable`: the journal can't be read.
        """
        if not self._most_kept:
            raise RequestError("off", "no history is kept: set journal.history_events")
        place = None if cursor is None else _place(cursor)
        after, before = (0, MOST_ROW) if place is None else (place.after_row, place.before_row)
        at_once = min(most + 1, _AT_ONCE) if wanted.everything else _AT_ONCE
        search = _Search(wanted, most)
        deadline_s = self._monotonic() + _SEARCH_S
        while True:
            found, trouble = self._newest(after, before, at_once)
            if place is None:
                place = Place(found.identity, after, before)
            elif place.identity != found.identity or after > found.last_row:
                raise RequestError("gone", "the journal is another one now: begin again without a cursor")
            before = search.take(found, before)
            ended = len(found.rows) < at_once and (not found.rows or found.rows[-1][0] >= before)
            if ended or search.complete or self._monotonic() > deadline_s:
                break
        newer = place._replace(after_row=max(search.first_row, after), before_row=MOST_ROW)
        older = None if ended else place._replace(before_row=before).cursor
        return HistoryPage(search.events, older, newer.cursor, trouble)

    def _newest(self, after_row: int, before_row: int, most: int) -> tuple[Newest, str | None]:
        answer: Future[Newest | None] = Future()
        trouble = self._look(Look(after_row, before_row, most, answer))
        try:
            found = answer.result(_ANSWER_S)
        except FutureTimeoutError:
            answer.cancel()
            found = None
        if found is None:
            why = trouble or "the journal is not open"
            raise RequestError("unavailable", f"the history of events is unavailable: {why}")
        return found, trouble


class _Search:
    """Collects the events that are wanted."""

    def __init__(self, wanted: Wanted, most: int) -> None:
        self.events: list[PastEvent] = []
        self.first_row = 0
        """The newest row that was seen."""
        self._wanted = wanted
        self._most = most
        self._seen: set[str] = set()

    @property
    def complete(self) -> bool:
        """Whether there are enough events."""
        return len(self.events) >= self._most

    def take(self, found: Newest, before_row: int) -> int:
        """Take rows, the newest first, until there are enough; return the row to go on before."""
        if found.rows:
            self.first_row = max(self.first_row, found.rows[0][0])
        for message, at, row in found_in(found.rows, "events", before_row).entries:
            if self.complete:
                return before_row
            before_row = row
            body = orjson.loads(message.payload)
            # After a fault of the disk an event may have been written twice.
            if self._wanted.includes(body) and body["event"] not in self._seen:
                self._seen.add(body["event"])
                self.events.append(PastEvent(body, at))
        # Behind unreadable ones too.
        return found.rows[-1][0] if found.rows else before_row


def _place(cursor: str) -> Place:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        identity, after_row, before_row = text.split(".")
        place = Place(identity, int(after_row), int(before_row))
    except (ValueError, binascii.Error) as error:
        raise RequestError("cursor", "that is no cursor of this route") from error
    if not 0 <= place.after_row <= MOST_ROW or not 0 <= place.before_row <= MOST_ROW:
        raise RequestError("cursor", "that is no cursor of this route")
    return place
