"""An access unit on its way to a decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import av

    from framelane.sources.arrivals import Arrival


class Unit(NamedTuple):
    """One picture as it is coded, and what is known of it before it is decoded.

    Attributes:
        packet: the access unit; an empty packet asks the decoder for what it holds back.
        key: whether decoding can begin here.
        disposable: whether no other picture needs this one.
        arrival: when it came; None where nothing arrives, as of a file.
        resumes: whether units before it have been skipped, which its decoder has to know.
        whole: whether nothing of it has been lost on the way, as far as anybody knows.
    """

    packet: av.Packet[Any]
    key: bool
    disposable: bool
    arrival: Arrival | None = None
    resumes: bool = False
    whole: bool = True
