"""Which worker process gets which streams, on which GPU, and what configuration that comes to."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from framelane.gpu.present import why_no_driver

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from framelane.config.schema import Config, ModelConfig, MqttConfig

_DRAIN_SHARE = 0.7
"""Of the time that a stop may take; the rest is for the parent to end the workers and say goodbye."""


@dataclass(frozen=True, slots=True)
class Share:
    """One worker's part.

    Attributes:
        number: the worker's, from 0.
        gpu: the GPU as nvidia-smi numbers it, None on a host without one.
        streams: ids of its streams.
        wave: workers of wave 0 load their models first; those of later ones when those before have started.
    """

    number: int
    gpu: int | None
    streams: tuple[str, ...]
    wave: int

    @property
    def name(self) -> str:
        """What the worker is called in logs, metrics and client ids."""
        return f"w{self.number}"


def divide(config: Config, why_no_gpu: Callable[[], str | None] = why_no_driver) -> list[Share]:
    """The workers that a configuration asks for; one alone needs no process of its own, and one without a stream none.

    Streams are dealt out in the file's order, one to each worker in turn: no worker has two more than another, and
    neighbours in the file, often of one kind, are spread. Workers are dealt over the GPUs likewise.

    The first worker loads its models alone, then the first one on each other GPU, then the rest: what takes long and
    is left behind in files, such as an engine, is made once for each kind of GPU.
    """
    gpus: list[int | None] = [None]
    if config.workers * len(config.gpus) > 1 and why_no_gpu() is None:
        gpus = list(config.gpus)
    count = config.workers * len(gpus)
    return deal(
        [Share(number, gpus[number % len(gpus)], (), _wave(number, len(gpus))) for number in range(count)],
        config,
    )


def deal(shares: Sequence[Share], config: Config) -> list[Share]:
    """The shares for other streams: each stays with its worker, and a new one goes to the worker with the fewest."""
    enabled = [stream.id for stream in config.streams if stream.enabled]
    left = set(enabled)
    hands = [[name for name in share.streams if name in left] for share in shares]
    dealt = {name for hand in hands for name in hand}
    for name in enabled:
        if name not in dealt:
            min(hands, key=len).append(name)
    return [replace(share, streams=tuple(hand)) for share, hand in zip(shares, hands, strict=True)]


def config_of(config: Config, share: Share, left_out: Collection[str] = ()) -> Config:
    """What a worker is to run: its own streams but those `left_out`, no HTTP, and its own name at the broker.

    The other streams stay in, disabled, so that a finding names the key in the file.
    """
    wanted = set(share.streams) - set(left_out)
    streams = [
        stream if stream.id in wanted else stream.model_copy(update={"enabled": False})
        for stream in config.streams
    ]
    node = {"exit_when_ended": False, "shutdown_s": config.node.shutdown_s * _DRAIN_SHARE}
    changes: dict[str, Any] = {
        "node": config.node.model_copy(update=node),
        "http": config.http.model_copy(update={"listen": None}),
        "mqtt": config.mqtt and _mqtt(config, config.mqtt, share),
        "workers": 1,
        "gpus": [0],  # the one that CUDA_VISIBLE_DEVICES leaves
        "streams": streams,
    }
    if share.gpu is None:
        cores = max(len(os.sched_getaffinity(0)) // config.workers, 1)
        changes["models"] = {name: _with_slots(model, cores) for name, model in config.models.items()}
    return config.model_copy(update=changes)


def _mqtt(config: Config, mqtt: MqttConfig, share: Share) -> MqttConfig:
    client_id = mqtt.client_id or f"{mqtt.prefix}-{config.node.id}"
    return mqtt.model_copy(update={"client_id": f"{client_id}-{share.name}"})


def _with_slots(model: ModelConfig, cores: int) -> ModelConfig:
    """Without a GPU, 0 slots are one a core; the workers share the cores."""
    return model if model.slots else model.model_copy(update={"slots": cores})


def _wave(number: int, gpus: int) -> int:
    if number == 0:
        return 0
    return 1 if number < gpus else 2
