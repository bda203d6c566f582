"""Waits for what announces itself nowhere: a count that another thread or process keeps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

GENEROUS_S = 60.0
"""Only a test that fails waits so long."""
_LOOK_S = 0.01


def wait_until(
    happened: Callable[[], bool], what: str = "it did not happen", timeout_s: float = GENEROUS_S
) -> None:
    """Look again and again; fails with `what` once `timeout_s` seconds are over."""
    deadline_s = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline_s, what
        time.sleep(_LOOK_S)
