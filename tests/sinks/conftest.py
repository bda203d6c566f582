from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.neighbours.mosquitto import Mosquitto, make_certificates
from tests.sinks.examples import FAREWELL, Gate, Watch

from framelane.config.sections.mqtt import MqttConfig
from framelane.core.backoff import Backoff
from framelane.core.clock import SystemClock
from framelane.sinks.mqtt.sink import MqttSink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.neighbours.mosquitto import Certificates

    from framelane.sinks.mqtt.spool.location import SpoolLocation


class WatchedSink(MqttSink):
    """An MQTT sink that tries again quickly, and whose connection can be waited for."""

    def __init__(
        self, config: MqttConfig, clock: Any = None, backoff: Any = None, place: SpoolLocation | None = None
    ) -> None:
        self.watch = Watch()
        self.backoff = backoff or Backoff(0.05, 0.1)
        super().__init__(
            config,
            "gate-01",
            "run-1",
            clock or SystemClock(),
            watch=self.watch,
            backoff=self.backoff,
            place=place,
        )


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture
def start() -> Iterator[Callable[..., WatchedSink]]:
    """Starts sinks, and stops those that the test has not."""
    sinks: list[WatchedSink] = []

    def started(
        url: str, *, clock: Any = None, backoff: Any = None, place: SpoolLocation | None = None, **config: Any
    ) -> WatchedSink:
        sink = WatchedSink(MqttConfig(url=url, **config), clock, backoff, place)
        sinks.append(sink)
        sink.start()
        return sink

    yield started
    for sink in sinks:
        if isinstance(sink.backoff, Gate):
            sink.backoff.open()
        sink.stop(0.0, FAREWELL)
