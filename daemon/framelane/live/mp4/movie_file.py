"""Builds an MP4 file of coded pictures with its index in front, so that players can seek (ISO/IEC 14496-12)."""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import TYPE_CHECKING, NamedTuple

from framelane.live.mp4.boxes import box, full_box, u32
from framelane.live.mp4.init_segment import movie

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from framelane.live.mp4.codec_config import CodecConfig

_FTYP = box(b"ftyp", b"isom", u32(512), b"isom", b"iso6", b"mp41")
_LAST_TICKS = 3600
"""Duration of a single picture: one at 25 per second."""
_HEADER_BYTES = 8


class Sample(NamedTuple):
    """A coded picture.

    Attributes:
        data: its NAL units, each after its length in four bytes.
        ticks: when it is shown, in 1/90000 s.
        key: whether decoding can begin here.
    """

    data: bytes
    ticks: int
    key: bool


class Times(NamedTuple):
    """Times of samples in decoding order, in ticks.

    Attributes:
        durations: of each in decoding time; all at least 1.
        offsets: presentation minus decoding time of each; none negative.
        skipped: media time of the picture that is shown first.
        shown: from the first picture that is shown to the end of the last.
    """

    durations: list[int]
    offsets: list[int]
    skipped: int
    shown: int


def movie_file(config: CodecConfig, samples: Sequence[Sample]) -> list[bytes]:
    """Return the parts of the file, to be written one after the other.

    Args:
        config: what a player needs before the first picture.
        samples: at least one, in decoding order, the first a key frame; less than 4 GiB in all.
    """
    times = times_of([sample.ticks for sample in samples])
    sizes = [len(sample.data) for sample in samples]

    def head(offset: int) -> bytes:
        tables = _tables(samples, times, sizes, offset)
        return _FTYP + movie(config, tables, ticks=times.shown, skipped_ticks=times.skipped)

    # Its length does not depend on the offset within it.
    front = head(len(head(0)) + _HEADER_BYTES)
    data = u32(sum(sizes) + _HEADER_BYTES) + b"mdat"
    return [front + data, *(sample.data for sample in samples)]


def times_of(shown_ticks: Sequence[int]) -> Times:
    """Return when pictures are decoded, given when they are shown, in decoding order.

    The picture number n is decoded when the picture number n by presentation would be shown. Then all
    are shown late enough that each has been decoded before.
    """
    first = min(shown_ticks)
    decoded: list[int] = []
    for ticks in sorted(shown_ticks):
        # Cameras repeat time stamps; a decoder needs different ones.
        decoded.append(max(ticks - first, decoded[-1] + 1 if decoded else 0))
    late = max(due - (ticks - first) for due, ticks in zip(decoded, shown_ticks, strict=True))
    offsets = [ticks - first + late - due for due, ticks in zip(decoded, shown_ticks, strict=True)]
    steps = [after - before for before, after in pairwise(decoded)]
    last = sorted(steps)[len(steps) // 2] if steps else _LAST_TICKS
    return Times([*steps, last], offsets, late, decoded[-1] + last)


def _tables(samples: Sequence[Sample], times: Times, sizes: list[int], offset: int) -> bytes:
    keys = [number for number, sample in enumerate(samples, 1) if sample.key]
    boxes = [
        full_box(b"stts", 0, 0, _runs(times.durations)),
        full_box(b"stss", 0, 0, u32(len(keys), *keys)),
        full_box(b"stsc", 0, 0, u32(1, 1, len(samples), 1)),
        full_box(b"stsz", 0, 0, u32(0, len(sizes), *sizes)),
        full_box(b"stco", 0, 0, u32(1, offset)),
    ]
    if any(times.offsets):
        boxes.insert(1, full_box(b"ctts", 0, 0, _runs(times.offsets)))
    return b"".join(boxes)


def _runs(values: Iterable[int]) -> bytes:
    """Return a table of equal values in a row (8.6.1)."""
    runs = [(len(list(group)), value) for value, group in groupby(values)]
    return u32(len(runs)) + b"".join(u32(count, value) for count, value in runs)
