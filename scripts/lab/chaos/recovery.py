"""Compute how soon each stream was live again after a fault of its camera or worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.chaos.witness import Moment, Wait

LIMIT_S = 5.0
"""Most seconds for a recovery, after the wait in force at the end of the fault."""


class Trouble(NamedTuple):
    """A fault that stopped a stream, in Unix time; `hidden` if the daemon may not have noticed it."""

    began: float
    ended: float
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Recovery:
    """One recovery.

    Attributes:
        began: Unix time of the strike.
        late_s: seconds from the earliest possible retry until it was live; None if never, or not in time.
        judged: False if the next strike came before the time was over.
    """

    began: float
    late_s: float | None
    judged: bool = True


def recoveries(
    troubles: Sequence[Trouble], waits: Sequence[Wait], states: Sequence[Moment]
) -> list[Recovery]:
    """Judge one stream's faults in order of time; overlapping ones count as one."""
    merged = _merged(troubles)
    nexts = [*(each.began for each in merged), float("inf")][1:]
    return [_judged(trouble, until, waits, states) for trouble, until in zip(merged, nexts, strict=True)]


def _judged(trouble: Trouble, until: float, waits: Sequence[Wait], states: Sequence[Moment]) -> Recovery:
    due = _due(trouble, waits, _state_at(trouble.ended, states))
    if trouble.hidden and _state_at(trouble.ended, states) == "live":
        return Recovery(trouble.began, 0.0)
    live = next((each.since for each in states if each.state == "live" and each.since > trouble.began), None)
    if live is not None and live < until:
        return Recovery(trouble.began, max(live - due, 0.0))
    return Recovery(trouble.began, None, judged=until >= due + LIMIT_S)


def _due(trouble: Trouble, waits: Sequence[Wait], state: str) -> float:
    """Return the earliest possible retry: after the wait in force, or that after a running attempt."""
    in_force = next((wait for wait in waits if wait.began <= trouble.ended < wait.until), None)
    if in_force is None and state == "connecting":
        in_force = next((wait for wait in waits if wait.began > trouble.ended), None)
    return max(trouble.ended, in_force.until if in_force else 0.0)


def _merged(troubles: Sequence[Trouble]) -> list[Trouble]:
    merged: list[Trouble] = []
    for trouble in sorted(troubles):
        last = merged[-1] if merged else None
        if last is not None and trouble.began <= last.ended:
            merged[-1] = Trouble(last.began, max(last.ended, trouble.ended), last.hidden and trouble.hidden)
        else:
            merged.append(trouble)
    return merged


def _state_at(at: float, states: Sequence[Moment]) -> str:
    return next((each.state for each in reversed(states) if each.since <= at), "connecting")
