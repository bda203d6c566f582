from __future__ import annotations

import re

import pytest

from framelane.config.sections.section import SIZE_PATTERN
from framelane.config.sizes import parse_bytes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("1000000", 1_000_000),
        ("999999999", 999_999_999),
        ("1KB", 1000),
        ("1KiB", 1024),
        ("2 GB", 2_000_000_000),
        ("512MiB", 512 << 20),
        ("4GiB", 4 << 30),
        ("999999999 GiB", 999_999_999 << 30),
    ],
)
def test_parse_bytes_returns_the_bytes(text: str, expected: int) -> None:
    assert expected == parse_bytes(text)
    assert re.search(SIZE_PATTERN, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0GB",
        "01GB",
        "1G",
        "1gb",
        "1 B",
        "1B",
        "1.5GB",
        "1  GB",
        "-1",
        "1TB",
        "1GB ",
        "1GB\n",
        "1" * 10,
    ],
)
def test_parse_bytes_raises_when_the_text_is_not_a_size(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"`{text}` is not a size such as 4GiB or 512MiB")):
        parse_bytes(text)
