"""The daemon as a configuration wants it: one process, or a parent of several."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from framelane.app import App
from framelane.fleet.node import Fleet
from framelane.fleet.share import divide
from framelane.service import Service

if TYPE_CHECKING:
    from framelane.config.schema import Config


def make_service(config: Config) -> Service:
    """The service for a configuration."""
    stopping = threading.Event()
    return Service(config, make_node(config, stopping), stopping)


def make_node(config: Config, stopping: threading.Event) -> App | Fleet:
    """What does the work: in this process, where one worker is enough, else in several."""
    return App(config) if len(divide(config)) == 1 else Fleet(config, stopping)
