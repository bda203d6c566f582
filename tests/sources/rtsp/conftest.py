"""Opens sessions that end with their test."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from framelane.core.clock import SystemClock
from framelane.sources.rtsp.client import Approach, Session, open_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Open = Callable[..., Session]


@pytest.fixture
def opens() -> Iterator[Open]:
    """`opens(url, open_timeout_s=..., read_timeout_s=..., stopping=..., approach=...)`."""
    with ExitStack() as stack:

        def start(
            url: str,
            open_timeout_s: float = 10.0,
            read_timeout_s: float = 10.0,
            stopping: threading.Event | None = None,
            approach: Approach | None = None,
        ) -> Session:
            session = open_session(
                url,
                open_timeout_s,
                read_timeout_s,
                stopping or threading.Event(),
                SystemClock(),
                approach or Approach(),
            )
            stack.callback(session.close)
            return session

        yield start
