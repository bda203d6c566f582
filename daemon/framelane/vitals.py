"""How the running node fares, as probes, metrics and the status page ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.telemetry.health import BrokerView, Health, Progress, liveness, readiness

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from framelane.config.schema import HttpConfig
    from framelane.core.worker import Worker
    from framelane.inference.worker import ModelWorker
    from framelane.sinks.sink import Sink
    from framelane.telemetry.reporter import Reporter
    from framelane.telemetry.states import StreamState

_WEDGED_S = 30.0


class Vitals:
    """Liveness and readiness of one node."""

    def __init__(
        self,
        config: HttpConfig,
        models: Callable[[], Mapping[str, ModelWorker]],
        mqtt: Sink | None,
        reporter: Reporter,
        states: Callable[[], list[StreamState]],
    ) -> None:
        self._config = config
        self._models = models
        self._mqtt = mqtt
        self._reporter = reporter
        self._states = states

    def liveness(self) -> Health:
        """Whether the process should go on, or be restarted."""
        workers: dict[str, Worker | ModelWorker] = {"reporter": self._reporter, **self._models()}
        threads = {name: worker.alive for name, worker in workers.items()}
        overdue_s = {} if self._mqtt is None else {"mqtt": self._mqtt.health().overdue_s}
        progress = Progress(self._reporter.waiting_s, self._reporter.looked_ago_s, overdue_s)
        return liveness(threads, progress, _WEDGED_S)

    def readiness(self) -> Health:
        """Whether it does its work now."""
        loaded = {name: model.alive for name, model in self._models().items()}
        return readiness(loaded, self._broker(), self._states(), self._config.ready)

    def _broker(self) -> BrokerView | None:
        if self._mqtt is None:
            return None
        health = self._mqtt.health()
        return BrokerView(health.connected, health.full)
