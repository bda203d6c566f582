"""Logs once that something fails, and once that it works again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from framelane.core.redact import redact

if TYPE_CHECKING:
    from framelane.core.clock import Clock

log = structlog.get_logger(__name__)

_REMIND_S = 300.0


class Outage:
    """One fault in the log: a new text at once, the same text every five minutes with its attempts.

    Args:
        subject: what fails; the log events are its name with `_failed` and `_recovered`.
        clock: for these times.
        tags: further fields of the log events.
    """

    def __init__(self, subject: str, clock: Clock, **tags: str) -> None:
        self._subject = subject
        self._clock = clock
        self._tags = tags
        self._text: str | None = None
        self._tries = 0
        self._logged_s = 0.0
        self._began_s = 0.0

    @property
    def text(self) -> str | None:
        """The current fault, without credentials; None while all is well."""
        return self._text

    def failed(self, reason: str, text: str) -> bool:
        """Note a failure, and return whether it was logged."""
        now_s = self._clock.monotonic()
        text = redact(text)
        if self._text is None:
            self._tries, self._began_s = 0, now_s
        self._tries += 1
        if text == self._text and now_s - self._logged_s < _REMIND_S:
            return False
        self._text, self._logged_s = text, now_s
        event = f"{self._subject}_failed"
        log.warning(event, **self._tags, reason=reason, error=text, tries=self._tries)
        return True

    def over(self) -> None:
        """Note that it works again."""
        if self._text is not None:
            self._text = None
            down_s = round(self._clock.monotonic() - self._began_s, 1)
            event = f"{self._subject}_recovered"
            log.info(event, **self._tags, tries=self._tries, down_s=down_s)
