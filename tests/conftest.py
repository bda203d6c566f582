"""What several parts' tests need: a log that goes nowhere and a clean registry of secrets are theirs by default."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True, scope="session")
def _quiet_log() -> Iterator[None]:
    """Tracebacks of faults that tests cause on purpose are no news; tests of the log set it up themselves."""
    structlog.configure(processors=[_drop])
    yield
    structlog.reset_defaults()


def _drop(*_: object) -> str:
    raise structlog.DropEvent
