"""Text that users write, as editors save it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from framelane.core.text_files import decode_text, read_lines

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_decode_text_takes_no_byte_order_mark_for_text(mark: bytes) -> None:
    assert decode_text(mark + "Tür\n".encode()) == "Tür\n"


def test_read_lines_leaves_out_blank_lines_and_space(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_bytes(b"\xef\xbb\xbfperson\r\n\r\n traffic light \r\ncar")
    assert read_lines(file) == ("person", "traffic light", "car")


def test_read_lines_refuses_other_encodings(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_bytes("person\n".encode("utf-16"))
    with pytest.raises(UnicodeDecodeError):
        read_lines(file)
