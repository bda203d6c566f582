"""Remembers which segments of a live playlist were shown, so that no connection shows them again."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.sources.http.playlist import Segment

_KEPT = 64
_EDGE = 3
"""A player starts this many segments from the end (RFC 8216 section 6.3.3)."""
_MOST_BEHIND = 2 * _EDGE


class ShownSegments:
    """The segments that a stream has shown, across its connections.

    A segment with a higher media sequence number than all before is new. Servers that restart also restart
    the numbers, and some sign their addresses again each time. So a segment with a known number counts as the
    same one if it has the same address or the same bytes.
    """

    def __init__(self) -> None:
        self._last: int | None = None
        self._names: OrderedDict[int, str] = OrderedDict()
        self._digests: OrderedDict[bytes, None] = OrderedDict()
        self.unchanged = False
        """Whether the last connection found nothing new."""

    @property
    def empty(self) -> bool:
        """Whether nothing has been shown yet."""
        return self._last is None

    def unseen(self, segments: Sequence[Segment]) -> list[Segment]:
        """Return segments that seem to be new, the oldest first.

        If there are too many, only the last ones.
        """
        if not segments:
            return []
        if self._last is not None and segments[-1].sequence < self._last:
            # The server has restarted its numbers.
            self._names.clear()
        names = segment_names(segments)
        found = [each for each in segments[-_EDGE:] if self._seems_new(each, names[each.sequence])]
        if self._last is not None:
            newer = [each for each in segments if each.sequence > self._last]
            if len(newer) > len(found) and len(newer) <= _MOST_BEHIND:
                found = newer
        for each in segments:
            if not found or each.sequence < found[0].sequence:
                self._remember(each.sequence, names[each.sequence])
        return found

    def is_new(self, segment: Segment, data: bytes, name: str) -> bool:
        """Return whether a fetched segment was not shown before, and mark it as shown."""
        digest = blake2b(data, digest_size=16).digest()
        new = self._last is None or segment.sequence > self._last or digest not in self._digests
        self._remember(segment.sequence, name)
        if new:
            self._last = segment.sequence
            self._digests[digest] = None
            if len(self._digests) > _KEPT:
                self._digests.popitem(last=False)
        return new

    def pass_over(self, segment: Segment, name: str) -> None:
        """Mark a segment as shown that has nothing to show."""
        self._remember(segment.sequence, name)
        self._last = segment.sequence

    def _seems_new(self, segment: Segment, name: str) -> bool:
        if self._last is not None and segment.sequence > self._last:
            return True
        return self._names.get(segment.sequence) != name

    def _remember(self, sequence: int, name: str) -> None:
        self._names[sequence] = name
        self._names.move_to_end(sequence)
        if len(self._names) > _KEPT:
            self._names.popitem(last=False)


def segment_names(segments: Sequence[Segment]) -> dict[int, str]:
    """Return names of segments by sequence number: their addresses without the query.

    The query may be signed again each time. But if a server's segments differ only in the query, it belongs
    to the name.
    """
    paths = {urlsplit(each.resource.url)._replace(query="", fragment="").geturl() for each in segments}
    plain = len(paths) == len({each.resource.url for each in segments})
    return {each.sequence: _name(each, plain=plain) for each in segments}


def _name(segment: Segment, *, plain: bool) -> str:
    url, part = segment.resource.url, segment.resource.part
    if plain:
        url = urlsplit(url)._replace(query="", fragment="").geturl()
    return url if part is None else f"{url}#{part.header}"
