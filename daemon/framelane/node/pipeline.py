"""The interface between a node and its pipeline, which runs in this process or in several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from prometheus_client.registry import Collector

    from framelane.config.sections.model import ModelConfig
    from framelane.config.sections.schema import Config
    from framelane.core.clock import Clock
    from framelane.core.errors import FramelaneError
    from framelane.core.frames import ModelInfo
    from framelane.events.journal import EventJournal
    from framelane.live.hub import Feeds
    from framelane.sinks.publisher import Publisher
    from framelane.telemetry.meters import CountsSource
    from framelane.telemetry.sink_health import SinkHealth
    from framelane.telemetry.stats import ProcessSample
    from framelane.telemetry.status import StatusBoard
    from framelane.web.detect import Detector


class Pipeline(Protocol):
    """Reads, infers and publishes the streams."""

    @property
    def fatal(self) -> FramelaneError | None:
        """Why it can't go on; None while it can."""
        ...

    @property
    def waiting_s(self) -> float:
        """Seconds for which frames have waited without any being inferred."""
        ...

    @property
    def meters(self) -> CountsSource:
        """All counts; those of other processes are up to a second old."""
        ...

    @property
    def fresh_meters(self) -> CountsSource:
        """All counts, up to date; may take up to half a second."""
        ...

    @property
    def detector(self) -> Detector:
        """Detects objects in uploaded images."""
        ...

    @property
    def live(self) -> Feeds:
        """What people see of the streams."""
        ...

    def load(self) -> None:
        """Load the models, or have the first worker do so; raise FramelaneError if one can't be loaded."""
        ...

    def start(self) -> None:
        """Start all parts without waiting for cameras; raise FramelaneError if one can't start."""
        ...

    def prepare(self, config: Config) -> None:
        """Do everything about a change that can fail; raise FramelaneError and change nothing if it does."""
        ...

    def commit(self, config: Config) -> None:
        """Switch to the streams of a prepared configuration."""
        ...

    def retry(self) -> None:
        """Retry now the cameras that refused a login."""
        ...

    def stop(self, timeout_s: float) -> None:
        """Drain and end within `timeout_s` seconds."""
        ...

    def look(self) -> None:
        """Do periodic checks, twice a second."""
        ...

    def trim_heap(self) -> None:
        """Return unused memory to the system; called every few seconds."""
        ...

    @property
    def ended(self) -> bool:
        """Whether every stream has been played to its end."""
        ...

    @property
    def loaded(self) -> Mapping[str, ModelConfig]:
        """The configuration section that each model was loaded with, by key."""
        ...

    @property
    def labels(self) -> Mapping[str, tuple[str, ...]]:
        """The class names of each loaded model, by key."""
        ...

    @property
    def models(self) -> list[ModelInfo]:
        """All models in use."""
        ...

    @property
    def gpus(self) -> Sequence[int]:
        """The GPUs in use."""
        ...

    @property
    def threads(self) -> Mapping[str, bool]:
        """Whether each required thread runs, by name."""
        ...

    @property
    def liveness_reasons(self) -> Sequence[str]:
        """Further reasons why it is not alive."""
        ...

    @property
    def missing(self) -> Sequence[str]:
        """Reasons why it is not ready."""
        ...

    def used(self) -> ProcessSample:
        """Return memory and CPU of all its processes."""
        ...

    def sinks(self, name: str) -> Sequence[SinkHealth]:
        """Return the health of the sinks of this name in other processes."""
        ...

    def busy(self) -> Collection[str]:
        """Return the names of the worker processes that run or should."""
        ...

    def collectors(self) -> Sequence[Collector]:
        """Return collectors of further metrics."""
        ...


@dataclass(frozen=True, slots=True)
class NodeParts:
    """The parts of a node that its pipeline uses.

    Attributes:
        board: receives the streams' states.
        publisher: receives results.
        clock: the clock.
        events: takes what happens to tracked objects.
        models_changed: call it when models have been loaded after the start.
        sinks_changed: call it when the health of sinks in other processes may have changed.
    """

    board: StatusBoard
    publisher: Publisher
    clock: Clock
    events: EventJournal
    models_changed: Callable[[], None]
    sinks_changed: Callable[[], None]
