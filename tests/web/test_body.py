"""Bodies of requests, within a size and a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from starlette.requests import Request

from framelane.web.body import read_body
from framelane.web.problem import ProblemError

if TYPE_CHECKING:
    from collections.abc import Sequence

TOO_LARGE, TOO_SLOW = ProblemError(413, "too large"), ProblemError(408, "too slow")
GONE, NEVER = "gone", "never"


class Client:
    """Sends chunks; then hangs up or says nothing any more, if told to."""

    def __init__(self, chunks: Sequence[bytes | str], length: str | None = None) -> None:
        self.taken = 0
        self._chunks = chunks
        headers = [] if length is None else [(b"content-length", length.encode("latin-1"))]
        self.request = Request({"type": "http", "method": "POST", "headers": headers}, self._receive)

    async def _receive(self) -> Any:
        chunk = self._chunks[self.taken]
        self.taken += 1
        if chunk == GONE:
            return {"type": "http.disconnect"}
        if chunk == NEVER:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": chunk, "more_body": self.taken < len(self._chunks)}

    def read(self, most_bytes: int = 10, timeout_s: float = 10.0) -> bytes:
        return asyncio.run(read_body(self.request, most_bytes, timeout_s, TOO_LARGE, TOO_SLOW))


@pytest.mark.parametrize("chunks", [[b""], [b"0123456789"], [b"01234", b"", b"56789"]])
@pytest.mark.parametrize("length", [None, "10", "0", "odd", "-11", "", "\xb2" * 3])
def test_read_body_returns_all_chunks_whatever_the_length_says(
    chunks: list[bytes], length: str | None
) -> None:
    assert b"".join(chunks) == Client(chunks, length).read()


@pytest.mark.parametrize("length", ["11", "1" * 4000])
def test_read_body_refuses_a_body_that_says_it_is_too_large_before_it_comes(length: str) -> None:
    client = Client([NEVER], length)
    with pytest.raises(ProblemError) as caught:
        client.read()
    assert (caught.value, client.taken) == (TOO_LARGE, 0)


def test_read_body_refuses_a_body_as_soon_as_it_is_too_large() -> None:
    client = Client([b"01234", b"56789", b"x", NEVER])
    with pytest.raises(ProblemError) as caught:
        client.read()
    assert (caught.value, client.taken) == (TOO_LARGE, 3)


@pytest.mark.parametrize("chunks", [[GONE], [b"01", GONE], [b"01", NEVER]])
def test_read_body_refuses_a_body_that_does_not_end(chunks: list[bytes | str]) -> None:
    with pytest.raises(ProblemError) as caught:
        Client(chunks).read(timeout_s=0.02)
    assert caught.value is TOO_SLOW
