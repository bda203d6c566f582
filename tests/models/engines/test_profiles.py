"""Batches, sizes and amounts of memory as the command line writes them: input -> value or exact message."""

from __future__ import annotations

from typing import Any

import pytest

from framelane.core.errors import ModelError
from framelane.models.engines.profiles import Profile, parse_batch, parse_bytes, parse_size

BATCH = "is not a batch; write most, least:most or least:best:most, such as 16 or 1:8:16"
SIZE = "is not a size; write WIDTHxHEIGHT or least:best:largest, such as 640x640 or 320x320:640x640:1280x1280"
MEMORY = "is not an amount of memory; write, for example, 4GiB or 512MiB"


@pytest.mark.parametrize(
    ("parse", "text", "expected"),
    [
        (parse_batch, "16", (1, 16, 16)),
        (parse_batch, "4:16", (4, 16, 16)),
        (parse_batch, "1:16:32", (1, 16, 32)),
        (parse_batch, "1", (1, 1, 1)),
        (parse_size, "640x480", ((640, 480),) * 3),
        (parse_size, "320x320:640x640:1280x1280", ((320, 320), (640, 640), (1280, 1280))),
        (parse_bytes, "4GiB", 4 << 30),
        (parse_bytes, "512 MiB", 512 << 20),
        (parse_bytes, "2GB", 2_000_000_000),
        (parse_bytes, "1048576", 1 << 20),
    ],
)
def test_is_read(parse: Any, text: str, expected: object) -> None:
    assert expected == parse(text)


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_batch, "", f"`` {BATCH}"),
        (parse_batch, "0", f"`0` {BATCH}"),
        (parse_batch, "1:2:3:4", f"`1:2:3:4` {BATCH}"),
        (parse_batch, "a", f"`a` {BATCH}"),
        (parse_batch, "8:4:16", "batch `8:4:16` does not rise; write least:best:most"),
        (parse_batch, "2000", "batch `2000` is more than 1024 pictures"),
        (parse_size, "640", f"`640` {SIZE}"),
        (parse_size, "640x640:1280x1280", f"`640x640:1280x1280` {SIZE}"),
        (
            parse_size,
            "640x640:320x320:1280x1280",
            "size `640x640:320x320:1280x1280` does not rise in both width and height; write least:best:largest",
        ),
        (parse_size, "16x640", "size `16x640` must stay within 32 and 4096 pixels a side"),
        (parse_size, "9000x640", "size `9000x640` must stay within 32 and 4096 pixels a side"),
        (parse_bytes, "lots", f"`lots` {MEMORY}"),
        (parse_bytes, "4TiB", f"`4TiB` {MEMORY}"),
    ],
)
def test_is_refused(parse: Any, text: str, message: str) -> None:
    with pytest.raises(ModelError) as raised:
        parse(text)
    assert message == str(raised.value)


def test_a_profile_says_its_shapes_and_texts() -> None:
    profile = Profile((1, 2, 4), ((320, 320), (640, 480), (1280, 960)))
    assert profile.shapes == ((1, 3, 320, 320), (2, 3, 480, 640), (4, 3, 960, 1280))
    assert (profile.batch_text, profile.size_text) == ("1:2:4", "320x320:640x480:1280x960")
