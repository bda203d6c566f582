"""Whether the daemon lives: its own verdict, asked for every second for as long as it runs."""

from __future__ import annotations

import http.client
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from framelane.core.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping

_EVERY_S = 1.0
_PATIENCE_S = 10.0


class Pulse(Worker):
    """Asks /healthz, which says no where a thread has ended, or frames wait and none is inferred.

    Attributes:
        beats: answers that all is well.
        slowest_s: the longest that one took.
        misses: other answers, and none, with what was said, and how often.
    """

    def __init__(self, port: int) -> None:
        super().__init__("pulse")
        self.beats = 0
        self.slowest_s = 0.0
        self._misses: dict[str, int] = {}
        self.port = port

    @property
    def misses(self) -> Mapping[str, int]:
        """Bad answers, and how often each came."""
        return dict(self._misses)

    def run_once(self) -> None:
        """Ask once, and wait."""
        began_s = time.monotonic()
        text = self._ask()
        self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)
        if text is None:
            self.beats += 1
        else:
            self._misses[text] = self._misses.get(text, 0) + 1
        self.stopping.wait(_EVERY_S)

    def _ask(self) -> str | None:
        """None if all is well, else what is not."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE_S)
        try:
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            body = answer.read(10_000).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__}: {error}"
        finally:
            connection.close()
        return None if answer.status == HTTPStatus.OK else f"{answer.status} {body}"
