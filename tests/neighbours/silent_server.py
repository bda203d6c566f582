"""A host whose connections are accepted and never answered."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class SilentServer:
    """Accepts connections and never answers; a context manager."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._accepted: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> SilentServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                self._accepted.append(self._listening.accept()[0])
            except OSError:
                return

    @property
    def url(self) -> str:
        """What a stream would name."""
        return f"rtsp://127.0.0.1:{self._listening.getsockname()[1]}/1"

    @property
    def connections(self) -> int:
        """How many have been accepted."""
        return len(self._accepted)

    def wait_for_end(self, index: int) -> None:
        """Wait until a client has closed its connection."""
        self._accepted[index].settimeout(60)
        while self._accepted[index].recv(65536):
            pass

    def close(self) -> None:
        """Cut everyone off; a second call does nothing."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(10)
        for each in self._accepted:
            each.close()
