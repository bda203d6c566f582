"""What did not come is told apart: lost, or gone with a killed worker."""

from __future__ import annotations

import pytest

from lab.chaos.results import Losses, account

RUN, LATER = ("run-1", "cam00"), ("run-2", "cam00")
PUBLISHED = {1: 10.0, 2: 10.5, 3: 11.0, 4: 11.5}


def test_nothing_is_lost_when_every_number_came() -> None:
    losses = account({RUN: PUBLISHED}, {RUN: {1, 2, 3, 4}}, {})

    assert Losses(1, 4, 4, lost=0, with_worker_s=(), unwitnessed=0) == losses


@pytest.mark.parametrize("received", [{1, 2, 4}, {2, 3, 4}, {1, 2, 3}, set()])
def test_result_is_lost_when_its_number_did_not_come_and_nobody_was_killed(received: set[int]) -> None:
    assert 4 - len(received) == account({RUN: PUBLISHED}, {RUN: received}, {"cam00": [9.0]}).lost


def test_results_of_a_run_are_lost_when_none_of_it_came() -> None:
    assert account({RUN: PUBLISHED}, {}, {}).lost == 4


def test_result_went_with_the_worker_when_a_kill_ended_its_run() -> None:
    losses = account(
        {RUN: PUBLISHED, LATER: {1: 14.0}}, {RUN: {1, 2}, LATER: {1}}, {"cam00": [9.0, 11.625, 99.0]}
    )

    assert (losses.lost, losses.with_worker_s) == (0, (0.125, 0.625))


def test_result_counts_as_old_as_the_one_before_when_the_witness_does_not_know_it() -> None:
    losses = account({RUN: {1: 10.0}, LATER: {1: 14.0}}, {RUN: {1, 3}, LATER: {1}}, {"cam00": [12.0]})

    assert losses.with_worker_s == (2.0,)


def test_newest_run_answers_for_all_it_published_whatever_was_killed_before_it() -> None:
    losses = account(
        {RUN: PUBLISHED, LATER: {1: 14.0, 2: 14.5}}, {RUN: {1, 2, 3, 4}, LATER: {1}}, {"cam00": [12.0]}
    )

    assert (losses.lost, losses.with_worker_s) == (1, ())


def test_witness_is_caught_when_it_missed_what_came() -> None:
    assert account({RUN: {1: 10.0, 3: 11.0}}, {RUN: {1, 2, 3}}, {}).unwitnessed == 1
