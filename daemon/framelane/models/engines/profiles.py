"""The shapes that an engine is built for: least, best and most images, and sizes if they are dynamic."""

from __future__ import annotations

import re
from dataclasses import dataclass

from framelane.config import sizes
from framelane.core.errors import ModelError

Three = tuple[int, int, int]
WH = tuple[int, int]
_MOST_BATCH = 1024
_SIDES = range(32, 4097)


@dataclass(frozen=True, slots=True)
class Profile:
    """An optimization profile.

    Attributes:
        batch: least, best and most images.
        size_wh: least, best and largest width and height of the input.
    """

    batch: Three
    size_wh: tuple[WH, WH, WH]

    def covers(self, other: Profile) -> bool:
        """Return whether an engine with this profile accepts everything that one with the other accepts."""
        batch = self.batch[0] <= other.batch[0] and self.batch[2] >= other.batch[2]
        small = all(ours <= theirs for ours, theirs in zip(self.size_wh[0], other.size_wh[0], strict=True))
        large = all(ours >= theirs for ours, theirs in zip(self.size_wh[2], other.size_wh[2], strict=True))
        return batch and small and large

    @property
    def shapes(self) -> tuple[tuple[int, int, int, int], ...]:
        """Least, best and largest shape [n, 3, h, w]."""
        return tuple(
            (n, 3, height, width) for n, (width, height) in zip(self.batch, self.size_wh, strict=True)
        )

    @property
    def batch_text(self) -> str:
        """The batch in the format of --batch."""
        return ":".join(str(count) for count in self.batch)

    @property
    def size_text(self) -> str:
        """The size in the format of --size."""
        texts = [f"{width}x{height}" for width, height in self.size_wh]
        return texts[0] if len(set(texts)) == 1 else ":".join(texts)


def parse_batch(text: str) -> Three:
    """Parse `16` (1 to 16, best at 16), `4:16` (best at 16) or `1:8:16`.

    Raises:
        ModelError: the text has another format.
    """
    if not re.fullmatch(r"[1-9]\d{0,3}(:[1-9]\d{0,3}){0,2}", text):
        raise ModelError(
            f"`{text}` is not a batch; write most, least:most or least:best:most, such as 16 or 1:8:16"
        )
    counts = [int(part) for part in text.split(":")]
    least, best, most = {1: [1, counts[-1], counts[-1]], 2: [counts[0], counts[-1], counts[-1]]}.get(
        len(counts), counts
    )
    if not least <= best <= most:
        raise ModelError(f"batch `{text}` does not rise; write least:best:most")
    if most > _MOST_BATCH:
        raise ModelError(f"batch `{text}` is more than {_MOST_BATCH} pictures")
    return least, best, most


def parse_size(text: str) -> tuple[WH, WH, WH]:
    """Parse `640x640` or `320x320:640x640:1280x1280`: width x height, least, best and largest.

    Raises:
        ModelError: the text has another format.
    """
    one = r"[1-9]\d{1,3}x[1-9]\d{1,3}"
    if not re.fullmatch(rf"{one}(:{one}:{one})?", text):
        raise ModelError(
            f"`{text}` is not a size; write WIDTHxHEIGHT or least:best:largest, such as 640x640 or "
            "320x320:640x640:1280x1280"
        )
    sizes = [(int(width), int(height)) for width, height in (part.split("x") for part in text.split(":"))]
    least, best, largest = sizes * 3 if len(sizes) == 1 else sizes
    for side in (0, 1):
        if not least[side] <= best[side] <= largest[side]:
            raise ModelError(
                f"size `{text}` does not rise in both width and height; write least:best:largest"
            )
    for width, height in (least, largest):
        if width not in _SIDES or height not in _SIDES:
            raise ModelError(f"size `{text}` must stay within {_SIDES[0]} and {_SIDES[-1]} pixels a side")
    return least, best, largest


def parse_bytes(text: str) -> int:
    """Parse a size such as 4GiB, 512MiB, 2 GB or a number of bytes.

    Raises:
        ModelError: the text has another format.
    """
    try:
        return sizes.parse_bytes(text)
    except ValueError:
        raise ModelError(f"`{text}` is not an amount of memory; write, for example, 4GiB or 512MiB") from None
