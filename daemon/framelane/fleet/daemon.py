"""The daemon as a configuration wants it: one process, or a parent of several."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from framelane.app import App
from framelane.fleet.node import Fleet
from framelane.fleet.share import divide
from framelane.live.doors import Doors
from framelane.live.edits import StreamEdits
from framelane.live.folder import StreamFolder
from framelane.service import Service, told_of_reload

if TYPE_CHECKING:
    from framelane.config.schema import Config
    from framelane.live.changes import LiveConfig


def make_service(live: LiveConfig) -> Service:
    """The service for a configuration, which may change while it runs."""
    stopping = threading.Event()
    folder = None if live.folder is None else StreamFolder(live.folder)
    node = make_node(live.config, stopping, StreamEdits(live, folder))
    live.attach(node, told_of_reload)
    return Service(live.config, node, stopping, Doors(live, folder, os.environ))


def make_node(config: Config, stopping: threading.Event, editor: StreamEdits | None = None) -> App | Fleet:
    """What does the work: in this process, where one worker is enough, else in several."""
    if len(divide(config)) == 1:
        return App(config, editor=editor)
    return Fleet(config, stopping, editor=editor)
