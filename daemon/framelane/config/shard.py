"""Which of several daemons with one configuration runs which streams: rendezvous hashing by the stream's id.

Each shard's weight for a stream is a hash of both; the heaviest has it (Thaler and Ravishankar, 1998). So who has a
stream depends on its id and the number of shards alone, and where a shard is added it takes its share from all
others and no stream moves between those.
"""

from __future__ import annotations

import re
import socket
from hashlib import blake2b
from typing import TYPE_CHECKING

from framelane.config.keypath import Problem

if TYPE_CHECKING:
    from framelane.config.schema import Config, ShardConfig


def shard_of(stream: str, count: int) -> int:
    """The shard, from 0 to `count` - 1, that has a stream; the same on every machine and version of Python."""
    return max(range(count), key=lambda shard: blake2b(f"{shard}/{stream}".encode(), digest_size=8).digest())


def take_share(config: Config, host: str | None = None) -> tuple[Config, list[Problem]]:
    """The configuration with other shards' streams disabled, and a node id of this shard's own.

    A shard from `count` on has no streams: so a daemon that was started ahead of its time waits.
    """
    count = config.shard.count
    if count == 1:
        return config, []
    index = index_of(config.shard, socket.gethostname() if host is None else host)
    if index is None:
        message = "is missing; the host name ends in no `-NUMBER` that could stand for it"
        return config, [Problem(("shard", "index"), message)]
    streams = [
        stream if shard_of(stream.id, count) == index else stream.model_copy(update={"enabled": False})
        for stream in config.streams
    ]
    node = config.node
    if "id" in node.model_fields_set and not node.id.endswith(f"-{index}"):
        node = node.model_copy(update={"id": f"{node.id}-{index}"})
    return config.model_copy(update={"streams": streams, "node": node}), []


def index_of(shard: ShardConfig, host: str) -> int | None:
    """The shard's number: as configured, else the one at the end of the host name, as pods of a StatefulSet have it."""
    if shard.index is not None:
        return shard.index
    found = re.search(r"-(\d{1,4})$", host.partition(".")[0])
    return int(found[1]) if found else None
