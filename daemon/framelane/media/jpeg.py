"""Inspects JPEG data without decoding it."""

from __future__ import annotations

_END, _SCAN = b"\xff\xd9", b"\xff\xda"


def has_end(data: bytes) -> bool:
    """Return whether a JPEG picture is complete (ITU-T T.81 B.1.1.3); decoders fill a missing part with gray.

    Data after the end marker is ignored, because cameras append their own. A preview in the header has an end
    marker too, but it precedes the picture's own scan. Within a scan there is no end marker.
    """
    return data.endswith(_END) or data.rfind(_END) > data.rfind(_SCAN)
