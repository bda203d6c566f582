"""What a worker process does as its parent says."""

from __future__ import annotations

import os
from typing import Any

from tests.waiting import wait_until

from framelane.fleet.link import Hurry, Inbox, send
from framelane.fleet.worker import Obedience, Uplink


class FakeApp:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.retries = 0

    def retry(self) -> None:
        self.retries += 1


def test_worker_tries_logins_again_when_its_parent_says_so() -> None:
    ours, theirs = os.pipe()
    app: Any = FakeApp()
    obedience = Obedience(Inbox(ours), Uplink(theirs))
    send(theirs, Hurry())  # before there is an app, nothing waits
    obedience.start()
    obedience.app = app
    send(theirs, Hurry())
    wait_until(lambda: app.retries >= 1)
    os.close(theirs)
    assert obedience.join(10)
    os.close(ours)
