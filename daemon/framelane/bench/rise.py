"""How streams come up, all at once: after a start, or after their cameras were away."""

from __future__ import annotations

import math
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.bench.errors import BenchError
from framelane.bench.report import number
from framelane.bench.spans import Span, calm_since

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from framelane.bench.neighbours import Subscriber
    from framelane.bench.process import Child

SHARES = {"50 %": 0.5, "95 %": 0.95, "all": 1.0}
_SPAN_S = 1.0
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Rise:
    """Seconds from a moment on; None where it never was so.

    Attributes:
        what: what happened at that moment.
        streams: that were to come up.
        begin_s: where the times below count from, since that moment: READY=1 after a start, else 0.
        live_s: by share of the streams ("50 %"), when that share had given a result.
        calm_s: when p95 from capture to publish came below the limit for good.
        spans: what came second by second, since the moment.
    """

    what: str
    streams: int
    begin_s: float
    live_s: dict[str, float | None]
    calm_s: float | None
    spans: tuple[Span, ...]

    def cells(self) -> dict[str, str]:
        """Its figures under their names."""
        shares = [f"{share} {number(at_s)}" for share, at_s in self.live_s.items()]
        return {
            f"{self.what}: to READY=1, s": number(self.begin_s),
            f"{self.what}: from there, of {self.streams} streams live, s": ", ".join(shares),
            f"{self.what}: from there, backlog gone, s": number(self.calm_s),
        }


@dataclass(frozen=True, slots=True)
class Load:
    """What is watched.

    Attributes:
        streams: how many there are.
        live: whether cameras are.
        limit_ms: for p95 from capture to publish.
        patience_s: how long to watch at most.
        calm_s: for so long p95 must have held before the watch ends.
    """

    streams: int
    live: bool
    limit_ms: float
    patience_s: float
    calm_s: float = 10.0


def watch_rise(
    what: str, daemon: Child, subscriber: Subscriber, load: Load, began_s: float, ready: Callable[[], bool]
) -> Rise:
    """Watch streams come up, until all are live and in time for `calm_s`, or patience ends.

    Args:
        what: what happened.
        daemon: that serves them.
        subscriber: sees what comes.
        load: what there is.
        began_s: when it happened, on the monotonic clock.
        ready: whether the daemon has said READY=1; asked until it has.

    Raises:
        BenchError: the daemon ends.
    """
    subscriber.open()
    seen: dict[str, float] = {}
    spans: list[Span] = []
    ready_s: float | None = None
    due_s = time.monotonic() + _SPAN_S
    while (at_s := time.monotonic() - began_s) < load.patience_s:
        if ready_s is None and ready():
            ready_s = at_s
        for name in subscriber.frames():
            seen.setdefault(name, at_s)
        if time.monotonic() >= due_s:
            due_s += _SPAN_S
            received = subscriber.take()
            spans.append(Span.of(received, time.monotonic() - began_s, daemon.usage().rss_mb))
            for name in received.streams:
                seen.setdefault(name, spans[-1].end_s)
            calm_s = calm_since(spans, load.limit_ms, load.streams, live=load.live)
            if ready_s is not None and calm_s is not None and at_s - calm_s > load.calm_s:
                break
        time.sleep(_LOOK_S)
    if ready_s is None:
        raise BenchError(f"the daemon didn't say READY=1 within {load.patience_s:g} s")
    return _rise(what, load, ready_s, sorted(seen.values()), spans)


def _rise(what: str, load: Load, begin_s: float, seen_s: list[float], spans: list[Span]) -> Rise:
    live_s: dict[str, float | None] = {}
    for name, share in SHARES.items():
        count = math.ceil(share * load.streams)
        live_s[name] = seen_s[count - 1] - begin_s if len(seen_s) >= count else None
    calm_s = calm_since(spans, load.limit_ms, load.streams, live=load.live)
    if calm_s is not None:  # spans are a second long, and the first good one may have begun before
        calm_s = max(calm_s - begin_s, 0.0)
    return Rise(what, load.streams, begin_s, live_s, calm_s, tuple(spans))


@contextmanager
def readiness(folder: Path) -> Iterator[tuple[dict[str, str], Callable[[], bool]]]:
    """A service manager's socket: the environment that names it, and whether READY=1 has come."""
    address = folder / "notify"
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as news:
        news.bind(str(address))
        news.setblocking(False)  # noqa: FBT003 - the socket module's own signature

        def ready() -> bool:
            while True:
                try:
                    message = news.recv(4096)
                except BlockingIOError:
                    return False
                if b"READY=1" in message:
                    return True

        yield {"NOTIFY_SOCKET": str(address)}, ready
