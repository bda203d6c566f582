"""Divides streams and GPUs among worker processes, and makes each worker's configuration."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from framelane.footage.address import base_url
from framelane.gpu.availability import why_no_driver

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from framelane.config.sections.media import MediaConfig
    from framelane.config.sections.model import ModelConfig
    from framelane.config.sections.mqtt import MqttConfig
    from framelane.config.sections.schema import Config

_DRAIN_SHARE = 0.7
"""Share of the stop timeout that workers may use.

The rest is for the parent to end them and send last messages.
"""


@dataclass(frozen=True, slots=True)
class Share:
    """The streams and GPU of one worker.

    Attributes:
        number: the worker's number, from 0.
        gpu: the GPU's number in nvidia-smi; None on a host without GPUs.
        streams: the ids of its streams.
        standby: whether to run it without streams too, with its models loaded, for streams that may be added.
    """

    number: int
    gpu: int | None
    streams: tuple[str, ...]
    standby: bool = False

    @property
    def name(self) -> str:
        """The worker's name in logs, metrics and client ids."""
        return f"w{self.number}"


def divide(config: Config, why_no_gpu: Callable[[], str | None] = why_no_driver) -> list[Share]:
    """Return the shares of all configured workers. A single worker needs no separate process.

    Streams are dealt out in the file's order, one to each worker in turn. So no worker has two streams more
    than another, and neighbors in the file, which are often alike, are spread. Workers are dealt to GPUs the
    same way.
    """
    gpus: list[int | None] = [None]
    if config.workers * len(config.gpus) > 1 and why_no_gpu() is None:
        gpus = list(config.gpus)
    count = config.workers * len(gpus)
    # With no streams yet, the first worker proves that models load, and gets the first stream.
    waits = config.http.listen is not None and not any(stream.enabled for stream in config.streams)
    shares = [
        Share(number, gpus[number % len(gpus)], (), standby=waits and number == 0) for number in range(count)
    ]
    return deal(shares, config)


def deal(shares: Sequence[Share], config: Config) -> list[Share]:
    """Return shares for changed streams: known ones stay, new ones go to the worker with the fewest."""
    enabled = [stream.id for stream in config.streams if stream.enabled]
    left = set(enabled)
    dealt = [[name for name in share.streams if name in left] for share in shares]
    known = {name for names in dealt for name in names}
    for name in enabled:
        if name not in known:
            min(dealt, key=len).append(name)
    return [replace(share, streams=tuple(names)) for share, names in zip(shares, dealt, strict=True)]


def config_of(config: Config, share: Share, left_out: Collection[str] = ()) -> Config:
    """Return a worker's configuration: its streams except `left_out`, no HTTP, and its own MQTT client id.

    Other streams stay in, disabled, so that findings name the right key in the file.
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
        "media": _media(config),
        "mqtt": config.mqtt and _mqtt(config, config.mqtt, share),
        "workers": 1,
        # The only GPU that CUDA_VISIBLE_DEVICES leaves.
        "gpus": [0],
        "streams": streams,
    }
    if share.gpu is None:
        cores = max(len(os.sched_getaffinity(0)) // config.workers, 1)
        changes["models"] = {name: _with_slots(model, cores) for name, model in config.models.items()}
    return config.model_copy(update=changes)


def _media(config: Config) -> MediaConfig:
    """Return where a worker keeps files. The parent alone uploads them, so a worker needs no secret."""
    s3 = config.media.s3 and config.media.s3.model_copy(update={"secret_key": None})
    return config.media.model_copy(update={"url": base_url(config), "s3": s3})


def _mqtt(config: Config, mqtt: MqttConfig, share: Share) -> MqttConfig:
    client_id = mqtt.client_id or f"{mqtt.prefix}-{config.node.id}"
    return mqtt.model_copy(update={"client_id": f"{client_id}-{share.name}"})


def _with_slots(model: ModelConfig, cores: int) -> ModelConfig:
    """Resolve `slots: 0` on a CPU host, which means one slot per core; the workers share the cores.

    A model that looks at objects of another has a single slot.
    """
    return model if model.slots or model.of is not None else model.model_copy(update={"slots": cores})
