"""How late a stream came back, counted from when it could have been tried."""

from __future__ import annotations

import pytest

from lab.chaos.recovery import Recovery, Trouble, recoveries
from lab.chaos.witness import Moment, Wait

NEVER = float("inf")


@pytest.mark.parametrize(
    ("waits", "states", "late_s"),
    [
        pytest.param([], [Moment(0, "live"), Moment(10, "down"), Moment(21, "live")], 1.0, id="no wait"),
        pytest.param([Wait(18, 24)], [Moment(10, "down"), Moment(25, "live")], 1.0, id="a wait in force"),
        pytest.param([Wait(12, 16)], [Moment(10, "down"), Moment(25, "live")], 5.0, id="a wait that is over"),
        pytest.param(
            [Wait(20.5, 24)],
            [Moment(10, "down"), Moment(19, "connecting"), Moment(26, "live")],
            2.0,
            id="a try under way fails",
        ),
        pytest.param(
            [Wait(20.5, 24)], [Moment(10, "down"), Moment(26, "live")], 6.0, id="a try that began later fails"
        ),
        pytest.param([], [Moment(10, "down")], None, id="it never comes back"),
        pytest.param([], [Moment(0, "live")], None, id="it was killed and nobody noticed"),
    ],
)
def test_stream_is_late_by(waits: list[Wait], states: list[Moment], late_s: float | None) -> None:
    assert [Recovery(10, late_s)] == recoveries([Trouble(10, 20)], waits, states)


def test_hang_that_nobody_noticed_needs_no_return() -> None:
    assert [Recovery(10, 0.0)] == recoveries([Trouble(10, 12, hidden=True)], [], [Moment(0, "live")])


def test_hang_that_was_noticed_needs_one() -> None:
    states = [Moment(0, "live"), Moment(14, "stalled"), Moment(20.5, "live")]

    assert [Recovery(10, 0.5)] == recoveries([Trouble(10, 20, hidden=True)], [], states)


def test_troubles_that_overlap_are_one() -> None:
    troubles = [Trouble(12, 16), Trouble(10, 20)]

    assert [Recovery(10, 1.0)] == recoveries(troubles, [], [Moment(10, "down"), Moment(21, "live")])


@pytest.mark.parametrize(("next_began", "judged"), [(24.0, False), (25.0, True)])
def test_stream_is_not_judged_when_it_is_struck_again_too_soon(next_began: float, judged: bool) -> None:  # noqa: FBT001 - pytest's
    states = [Moment(10, "down"), Moment(40, "live")]

    first, second = recoveries([Trouble(10, 20), Trouble(next_began, 30)], [], states)
    assert Recovery(10, None, judged) == first
    assert Recovery(next_began, 10.0) == second
