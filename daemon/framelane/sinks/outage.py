"""Says once that something is out of order and once that it is well again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from framelane.core.redact import redact

if TYPE_CHECKING:
    from framelane.core.clock import Clock

log = structlog.get_logger(__name__)

_REMIND_S = 300.0


class Outage:
    """One sink's fault as the log sees it: a new text at once, the same every five minutes with its tries."""

    def __init__(self, sink: str, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock
        self._text: str | None = None
        self._tries = 0
        self._logged_s = 0.0
        self._began_s = 0.0

    @property
    def text(self) -> str | None:
        """What is wrong now, free of credentials; None while all is well."""
        return self._text

    def failed(self, reason: str, text: str) -> bool:
        """It did not work, again perhaps; whether that was logged."""
        now_s = self._clock.monotonic()
        text = redact(text)
        if self._text is None:
            self._tries, self._began_s = 0, now_s
        self._tries += 1
        if text == self._text and now_s - self._logged_s < _REMIND_S:
            return False
        self._text, self._logged_s = text, now_s
        log.warning("sink_failed", sink=self._sink, reason=reason, error=text, tries=self._tries)
        return True

    def over(self) -> None:
        """It works."""
        if self._text is not None:
            self._text = None
            down_s = round(self._clock.monotonic() - self._began_s, 1)
            log.info("sink_recovered", sink=self._sink, tries=self._tries, down_s=down_s)
