"""How long a stream waits after which fault, and what cuts a wait short."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from framelane.core.backoff import Backoff
from framelane.sources.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Callable

    from framelane.sources.network.port_probe import Pause


class FakeClock:
    """Goes on while somebody waits; `at` does something at a time."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.at: dict[float, Callable[[], None]] = {}

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return self.now_s

    def wait(self, timeout: float | None = None) -> bool:
        self.now_s += timeout or 0.0
        for due_s in [due_s for due_s in self.at if due_s <= self.now_s]:
            self.at.pop(due_s)()
        return False


class FakeDoor:
    """Opens at a time; takes a second a knock."""

    def __init__(self, clock: FakeClock, opens_s: float) -> None:
        self.clock = clock
        self.opens_s = opens_s
        self.shut: bool | None = None
        self.knocks = 0

    def __call__(self, url: str, *, shut: bool) -> FakeDoor:
        assert url == "rtsp://cam"
        self.shut = shut
        return self

    def opens(self, pause: Pause) -> tuple[bool, bool]:
        self.knocks += 1
        over = pause(1.0)
        return self.clock.now_s >= self.opens_s, over


def steady(low: float, high: float) -> float:
    return (low + high) / 2


def make(clock: FakeClock, opens_s: float = 1e9, *, live: bool = True) -> tuple[Retry, FakeDoor]:
    door: Any = FakeDoor(clock, opens_s)
    return Retry("rtsp://cam", Backoff(1, 60, uniform=steady), clock, door, live=live), door


@pytest.mark.parametrize("reason", ["unauthorized", "forbidden"])
def test_logins_are_tried_twice_and_then_seldom(reason: str) -> None:
    retry, _ = make(FakeClock())
    assert [retry.after(reason) for _ in range(7)] == [1, 300, 600, 1200, 1800, 1800, 1800]


def test_both_kinds_of_refusal_count_together() -> None:
    retry, _ = make(FakeClock())
    assert [retry.after(reason) for reason in ("unauthorized", "forbidden")] == [1, 300]


def test_other_faults_double_as_ever() -> None:
    retry, _ = make(FakeClock())
    reasons = ["lost", "refused", "not-found", "timeout", "rejected", "codec", "lost", "lost"]
    assert [retry.after(reason) for reason in reasons] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_login_that_was_accepted_starts_the_count_again() -> None:
    retry, _ = make(FakeClock())
    assert [retry.after("unauthorized"), retry.after("unauthorized")] == [1, 300]
    retry.accepted()
    assert [retry.after("unauthorized"), retry.after("unauthorized")] == [2, 300]


def test_fault_of_the_network_between_refusals_gives_no_more_quick_tries() -> None:
    retry, _ = make(FakeClock())
    reasons = ["unauthorized", "unauthorized", "timeout", "unauthorized"]
    assert [retry.after(reason) for reason in reasons] == [1, 300, 2, 600]


def test_state_says_when_the_next_login_is_tried() -> None:
    retry, _ = make(FakeClock())
    texts = [retry.remark(retry.after("unauthorized")) for _ in range(4)]
    assert texts[0] == ""
    assert texts[1] == "; next try in 5 minutes; reload to try at once"
    assert texts[3] == "; next try in 20 minutes; reload to try at once"
    assert retry.remark(retry.after("lost")) == ""


def test_wait_lasts_as_long_as_it_should() -> None:
    clock = FakeClock()
    retry, door = make(clock)
    retry.wait(retry.after("not-found") + 6.5, clock)
    assert (clock.now_s, door.knocks) == (1007.5, 0)


def test_wait_for_a_login_ends_when_a_retry_is_requested() -> None:
    clock = FakeClock()
    retry, door = make(clock)
    retry.after("unauthorized")
    wait_s = retry.after("unauthorized")
    clock.at[1100.0] = retry.retry_login
    retry.wait(wait_s, clock)
    assert (clock.now_s, door.knocks) == (1100.0, 0)
    # Refused again, it is no quick try more.
    assert [retry.after("unauthorized"), retry.after("unauthorized")] == [300, 600]


@pytest.mark.parametrize("reason", ["lost", "not-found", "no-video"])
def test_wait_for_anything_but_a_login_ignores_a_requested_retry(reason: str) -> None:
    clock = FakeClock()
    retry, _ = make(clock)
    retry.after(reason)
    clock.at[1001.0] = retry.retry_login
    retry.wait(10.0, clock)
    assert clock.now_s == 1010.0


@pytest.mark.parametrize("reason", ["refused", "lost", "timeout", "unreachable"])
def test_wait_ends_and_backoff_starts_again_when_the_host_listens(reason: str) -> None:
    clock = FakeClock()
    retry, door = make(clock, opens_s=1009.0)
    for _ in range(5):
        retry.after(reason)
    retry.wait(retry.after(reason), clock)
    assert (clock.now_s, door.knocks, door.shut) == (1009.0, 9, reason == "refused")
    assert retry.after("rejected") == 1


@pytest.mark.parametrize(("reason", "live"), [("unauthorized", True), ("rejected", True), ("lost", False)])
def test_nobody_knocks_after_other_faults_and_for_files(
    reason: str,
    live: bool,  # noqa: FBT001
) -> None:
    clock = FakeClock()
    retry, door = make(clock, opens_s=0.0, live=live)
    retry.after(reason)
    retry.wait(30.0, clock)
    assert (clock.now_s, door.knocks) == (1030.0, 0)


def test_wait_ends_at_once_when_all_is_to_end() -> None:
    class Over:
        def wait(self, timeout: float | None = None) -> bool:
            return timeout is not None

    clock = FakeClock()
    retry, door = make(clock)
    retry.after("refused")
    retry.wait(60.0, Over())
    assert (clock.now_s, door.knocks) == (1000.0, 1)
