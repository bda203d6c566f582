"""A file that is deleted while it is asked for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from fastapi import HTTPException

from framelane.web.kept_file import KeptFileResponse

CONTENT = bytes(range(256)) * 1024
"""Four pieces."""


def sent(path: Path, *, delete: bool, **headers: str) -> tuple[int, bytes]:
    """Status and body of an answer; the file is deleted once the headers are out."""
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)
        if delete and message["type"] == "http.response.start":
            path.unlink()  # noqa: ASYNC240 - nothing else runs in this loop

    async def receive() -> Any:
        await asyncio.sleep(60)

    listed = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "headers": listed}
    response = KeptFileResponse(path, media_type="video/mp4")
    asyncio.run(response(scope, receive, send))
    return messages[0]["status"], b"".join(each["body"] for each in messages[1:])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize("delete", [False, True])
def test_file_is_sent_whole_even_if_it_is_deleted_meanwhile(file: Path, *, delete: bool) -> None:
    assert sent(file, delete=delete) == (200, CONTENT)
    assert file.exists() is not delete


def test_range_is_sent_even_if_the_file_is_deleted_meanwhile(file: Path) -> None:
    assert sent(file, delete=True, range="bytes=1000-100999") == (206, CONTENT[1000:101000])


def test_file_that_is_gone_is_not_found_and_nothing_stays_open(file: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    sent(file, delete=True)
    with pytest.raises(HTTPException) as caught:
        sent(file, delete=False)
    assert caught.value.status_code == 404
    assert len(list(Path("/proc/self/fd").iterdir())) == before
