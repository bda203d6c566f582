"""Pages without a browser: they watch all cameras, and one of them never reads what it gets."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from websockets.sync.client import ClientConnection

_PROTOCOL = "framelane.live.1"


class Viewers:
    """Open pages; a context manager. The last one is frozen: it asks for all videos, and then reads nothing.

    Args:
        url: the listener's address.
        count: how many there are.
        streams: what each watches.
    """

    def __init__(self, url: str, count: int, streams: Sequence[str]) -> None:
        self.received = [0] * count
        """Bytes that each has read."""
        self._opened = ExitStack()
        for number in range(count):
            socket = self._opened.enter_context(_open(url))
            for channel, stream in enumerate(streams):
                socket.send(
                    json.dumps({"op": "watch", "channel": channel, "stream": stream, "want": "video"})
                )
            if number < count - 1:
                threading.Thread(target=self._read, args=(number, socket), daemon=True).start()

    def __enter__(self) -> Viewers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def _read(self, number: int, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            for message in socket:
                self.received[number] += len(message)


def _open(url: str) -> ClientConnection:
    return connect(
        url.replace("http", "ws", 1) + "api/live",
        subprotocols=[_PROTOCOL],  # type: ignore[list-item] # a NewType of str
        max_size=None,
        # A frozen page acknowledges no end.
        close_timeout=1,
        # It stops reading at once.
        max_queue=1,
    )
