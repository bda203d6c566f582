"""The `node` section."""

from __future__ import annotations

import re
import socket

from pydantic import Field

from framelane.config.sections.section import Flag, Identifier, Seconds, Section


def default_node_id() -> str:
    """Return the host name, reduced to the characters of an identifier."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", socket.gethostname()).strip("._-")[:64] or "node"


class NodeConfig(Section):
    """This daemon, as consumers see it."""

    id: Identifier = Field(
        default_factory=default_node_id,
        description="Name of this node in topics and messages; the host name by default.",
        examples=["gate-01"],
    )
    stats_s: Seconds = Field(default=10.0, description="Seconds between reports of per-stream statistics.")
    shutdown_s: Seconds = Field(
        default=8.0, description="Most seconds that a stop spends on delivering pending results."
    )
    exit_when_ended: Flag = Field(
        default=False,
        description="Exit 0 once every stream has ended (files played once); for batch jobs.",
    )
