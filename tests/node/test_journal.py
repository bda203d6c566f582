"""What of an event goes where: into the journal, to the broker, and to sinks that only take messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.core import CollectorRegistry
from tests.events.desk import config_of
from tests.events.examples import crossing
from tests.sinks.examples import FakeClock

from framelane.node.journal import broker_events, journal_collectors, make_journal, make_outbox

if TYPE_CHECKING:
    from pathlib import Path

    from framelane.config.sections.schema import Config
    from framelane.messages.detections import Message


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_of(tmp_path)


def changed(config: Config, **sections: Any) -> Config:
    values = {name: type(getattr(config, name)).model_validate(value) for name, value in sections.items()}
    return config.model_copy(update=values)


def without_broker(config: Config) -> Config:
    return config.model_copy(update={"mqtt": None})


def after_a_crossing(config: Config) -> tuple[list[Message], list[str]]:
    """What is published when an object crosses a line, and what the broker can take then, by kind."""
    clock = FakeClock()
    outbox = make_outbox(config, clock)
    queue = broker_events(config, outbox)
    published: list[Message] = []
    journal = make_journal(config, clock, outbox, published.append, lambda _why: None)
    journal.turn()
    published.clear()
    journal.take([crossing(1)])
    clock.advance(1)
    journal.turn()
    kinds: list[str] = []
    while (taken := queue.take()) is not None:
        kinds.append(taken[1].kind)
        queue.settle(taken[0])
    journal.ended()
    return published, kinds


def test_event_waits_for_the_broker_and_is_published_to_the_others(config: Config) -> None:
    published, taken = after_a_crossing(config)
    assert {each.kind for each in published} == {"events", "lines"}
    assert taken == ["events"]


def test_node_without_a_broker_keeps_no_event_for_it(config: Config) -> None:
    published, taken = after_a_crossing(without_broker(config))
    assert {each.kind for each in published} == {"events", "lines"}
    assert taken == []
    assert make_outbox(without_broker(config), FakeClock()) is None


def test_onvif_gets_its_crossing_ahead_of_the_event_and_its_counters_beside(config: Config) -> None:
    published, taken = after_a_crossing(changed(config, onvif={"enabled": True}))
    assert taken == ["onvif", "events"]
    assert {each.kind for each in published} == {"events", "lines", "onvif"}
    assert {each.key.split("/")[1] for each in published if each.kind == "onvif"} == {"CountAggregation"}


def test_journal_is_measured(config: Config) -> None:
    registry = CollectorRegistry()
    journal = make_journal(config, FakeClock(), None, lambda _message: None, lambda _why: None)
    for collector in journal_collectors(journal):
        registry.register(collector)
    assert registry.get_sample_value("framelane_journal_up") is not None
