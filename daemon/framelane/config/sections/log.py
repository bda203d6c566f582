"""The `log` section."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from framelane.config.sections.section import Section


class LogConfig(Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lowest severity to log."
    )
    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`auto`: console on a terminal, JSON lines elsewhere."
    )
    stats: Literal["stream", "node", "off"] = Field(
        default="node",
        description="Lines logged every `node.stats_s`: one per stream and one for the node, "
        "only the node's, or none.",
    )
