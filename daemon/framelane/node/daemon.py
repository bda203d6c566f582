"""Builds the daemon: a service around a node whose pipeline runs in this process or in several."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from framelane.control.stream_edits import StreamEdits
from framelane.control.stream_folder import StreamFolder
from framelane.control.triggers import ConfigTriggers
from framelane.fleet.process import COMMAND
from framelane.fleet.share import divide
from framelane.node.node import Node
from framelane.node.service import Service, notify_reload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from framelane.config.sections.schema import Config
    from framelane.control.changes import LiveConfig
    from framelane.fleet.supervisor import SupervisorTimeouts
    from framelane.node.pipeline import NodeParts, Pipeline
    from framelane.web.streams import StreamEditor


def make_service(live: LiveConfig) -> Service:
    """Return the service for a configuration, which may change while the service runs."""
    stopping = threading.Event()
    folder = None if live.folder is None else StreamFolder(live.folder)
    node = make_node(live.config, stopping, StreamEdits(live, folder))
    live.attach(node, notify_reload)
    return Service(live.config, node, stopping, ConfigTriggers(live, folder, os.environ))


def make_node(
    config: Config,
    stopping: threading.Event,
    editor: StreamEditor | None = None,
    timeouts: SupervisorTimeouts | None = None,
    command: Sequence[str] | None = None,
) -> Node:
    """Return the node. Its pipeline runs in this process if one worker is enough, else in several.

    Args:
        config: a checked configuration.
        stopping: set when the daemon is to end; ends a slow start.
        editor: handles `/api/streams`; None for no such routes.
        timeouts: timeouts of the worker processes' supervisors.
        command: the command line of a worker process.
    """
    shares = divide(config)

    # Each import is local: a parent of workers doesn't need the modules of a single process, nor the reverse.
    def local(config: Config, parts: NodeParts) -> Pipeline:
        from framelane.pipeline.local import LocalPipeline  # noqa: PLC0415

        return LocalPipeline(config, parts.board, parts.publisher, parts.clock, parts.events)

    def fleet(config: Config, parts: NodeParts) -> Pipeline:
        from framelane.fleet.pipeline import FleetPipeline  # noqa: PLC0415

        return FleetPipeline(
            config,
            shares,
            parts.board,
            parts.clock,
            parts.events,
            stopping,
            parts.models_changed,
            parts.sinks_changed,
            timeouts,
            command or COMMAND,
        )

    several = len(shares) > 1
    return Node(config, fleet if several else local, shared=several, editor=editor)
