"""What a parent holds against itself and its workers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from framelane.config.schema import HttpConfig
from framelane.fleet.vitals import FleetVitals
from framelane.sinks.sink import SinkHealth


def session(overdue_s: float) -> SinkHealth:
    return SinkHealth("mqtt", True, 0, 0, 0, None, overdue_s)  # noqa: FBT003 - positions of a value


@pytest.mark.parametrize(
    ("sessions", "ailments", "expected"),
    [
        ([], (), ()),
        ([session(0.0), session(0.0)], (), ()),
        ([session(40.0), session(0.0)], (), ("thread mqtt hangs for 40 s (limit 30 s)",)),
        # A worker's own verdict tells of its session, once.
        (
            [session(0.0), session(40.0)],
            ("thread mqtt hangs for 40 s (limit 30 s)",),
            ("worker w0: thread mqtt hangs for 40 s (limit 30 s)",),
        ),
    ],
)
def test_liveness_tells_of_a_thread_that_hangs_in_the_parent_or_a_worker(
    sessions: list[SinkHealth], ailments: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    share = SimpleNamespace(name="w0", number=0)
    supervisor: Any = SimpleNamespace(name="worker-w0", share=share, alive=True, idle=False, up=True)
    ledger: Any = SimpleNamespace(ailments=lambda _worker: ailments)
    reporter: Any = SimpleNamespace(alive=True, waiting_s=0.0, looked_ago_s=0.5)
    vitals = FleetVitals(HttpConfig(), [supervisor], ledger, reporter, list, lambda: sessions)
    assert vitals.liveness().reasons == expected
