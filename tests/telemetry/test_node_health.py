"""What speaks against a node, and against its workers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from framelane.telemetry.node_health import NodeHealth
from framelane.telemetry.sink_health import SinkHealth


def session(overdue_s: float) -> SinkHealth:
    return SinkHealth("mqtt", True, 0, 0, 0, None, overdue_s)  # noqa: FBT003 - positions of a value


@pytest.mark.parametrize(
    ("sessions", "liveness_reasons", "expected"),
    [
        ([], (), ()),
        ([session(0.0), session(0.0)], (), ()),
        ([session(40.0), session(0.0)], (), ("thread mqtt has hung for 40 s (limit 30 s)",)),
        # A worker's own verdict tells of its session, once.
        (
            [session(0.0), session(40.0)],
            ("thread mqtt has hung for 40 s (limit 30 s)",),
            ("worker w0: thread mqtt has hung for 40 s (limit 30 s)",),
        ),
    ],
)
def test_liveness_tells_of_a_thread_that_hangs_in_the_parent_or_a_worker(
    sessions: list[SinkHealth], liveness_reasons: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    pipeline: Any = SimpleNamespace(
        waiting_s=0.0,
        threads={"worker-w0": True},
        liveness_reasons=[f"worker w0: {text}" for text in liveness_reasons],
        missing=(),
    )
    housekeeping: Any = SimpleNamespace(alive=True, looked_ago_s=0.5)
    health = NodeHealth("any", pipeline, housekeeping, list, lambda: sessions)
    assert health.liveness().reasons == expected
