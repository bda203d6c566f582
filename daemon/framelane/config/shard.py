"""Assigns streams to daemons that share one configuration, by rendezvous hashing of the stream's id.

A shard's weight for a stream is a hash of both; the shard with the highest weight runs the stream (Thaler and
Ravishankar, 1998). The assignment depends only on the id and the number of shards. A new shard takes streams
from all others, and no stream moves between those.
"""

from __future__ import annotations

import re
import socket
from hashlib import blake2b
from typing import TYPE_CHECKING

from framelane.config.keypath import Problem

if TYPE_CHECKING:
    from framelane.config.sections.schema import Config
    from framelane.config.sections.shard import ShardConfig


def shard_of(stream: str, count: int) -> int:
    """Return the stream's shard, from 0 to `count` - 1; the same on every machine and Python version."""
    return max(range(count), key=lambda shard: blake2b(f"{shard}/{stream}".encode(), digest_size=8).digest())


def apply_shard(config: Config, host: str | None = None) -> tuple[Config, list[Problem]]:
    """Disable other shards' streams and give the node an id of its own.

    A shard whose index is `count` or more has no streams, so a daemon that was started too early waits.
    """
    count = config.shard.count
    if count == 1:
        return config, []
    index = index_of(config.shard, socket.gethostname() if host is None else host)
    if index is None:
        message = "is missing; set it, or use a host name that ends in `-NUMBER`"
        return config, [Problem(("shard", "index"), message)]
    streams = [
        stream if shard_of(stream.id, count) == index else stream.model_copy(update={"enabled": False})
        for stream in config.streams
    ]
    node = config.node
    if "id" in node.model_fields_set and not node.id.endswith(f"-{index}"):
        node = node.model_copy(update={"id": f"{node.id}-{index}"})
    return config.model_copy(update={"streams": streams, "node": node}), []


def is_own(stream: str, config: Config) -> bool:
    """Return whether a stream belongs to this shard, whose index may come from the host name."""
    shard = config.shard
    return shard.count == 1 or shard_of(stream, shard.count) == index_of(shard, socket.gethostname())


def index_of(shard: ShardConfig, host: str) -> int | None:
    """Return the configured index, else the number that ends the host name, as in a StatefulSet's pods."""
    if shard.index is not None:
        return shard.index
    found = re.search(r"-(\d{1,4})$", host.partition(".")[0])
    return int(found[1]) if found else None
