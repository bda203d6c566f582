"""Embeds an MQTT broker for the demo: rumqttd from the `iotcore` wheel, in a child process.

rumqttd serves each protocol version on its own port; clients of both see the same messages. The child ends
with this process, because it holds the other end of a pipe.

Known faults of rumqttd 0.20: It disconnects a 3.1.1 subscriber at the first message with MQTT 5 properties,
which the daemon's messages have. It delivers a Last Will but does not retain it. It may disconnect a client
that connects within a millisecond of another's DISCONNECT, and that client's next attempt then kills the
listener (bytebeamio/rumqtt#1062). Tests of the daemon itself use mosquitto.
"""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from framelane.core.errors import FramelaneError

if TYPE_CHECKING:
    from types import TracebackType

    from iotcore import Broker

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 2.0
_RETRIES = 4
_CONFIG = """\
id = 0
[router]
id = 0
max_connections = 10010
max_outgoing_packet_count = 200
max_segment_size = 16777216
max_segment_count = 4
"""
_LISTENER = """\
[{version}.1]
name = "{version}"
listen = "{host}:{port}"
next_connection_delay_ms = 1
[{version}.1.connections]
connection_timeout_ms = 60000
max_payload_size = 4194304
max_inflight_count = 500
dynamic_filters = true
"""


class BrokerError(FramelaneError):
    """The embedded broker can't start."""


class EmbeddedBroker:
    """A broker on loopback: `with EmbeddedBroker() as broker: broker.url`.

    `port` (MQTT 5) and `port_v311` (MQTT 3.1.1) of 0 select free ports. A restart uses the same ports again.
    """

    def __init__(self, port: int = 0, port_v311: int = 0, host: str = "127.0.0.1") -> None:
        self._host = host
        self._ports = (port, port_v311)
        self._broker: Broker | None = None

    def __enter__(self) -> EmbeddedBroker:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The MQTT 5 port (0 before the first start)."""
        return self._ports[0]

    @property
    def port_v311(self) -> int:
        """The MQTT 3.1.1 port (0 before the first start)."""
        return self._ports[1]

    @property
    def url(self) -> str:
        """The URL for MQTT 5 clients."""
        return f"mqtt://{self._host}:{self.port}"

    @property
    def url_v311(self) -> str:
        """The URL for MQTT 3.1.1 clients."""
        return f"mqtt://{self._host}:{self.port_v311}"

    def start(self) -> None:
        """Start, and wait until the broker accepts connections; do nothing while it runs.

        Raise `BrokerError`.
        """
        if self._broker is not None:
            return
        failure = self._try_launch()
        for _ in range(0 if all(self._ports) else _RETRIES):
            # Another process may take a free port before the broker binds it.
            if failure is None:
                return
            failure = self._try_launch()
        if failure is not None:
            raise BrokerError(f"the embedded MQTT broker does not start: {failure}") from failure

    def stop(self) -> None:
        """End the child process; do nothing when stopped."""
        broker, self._broker = self._broker, None
        if broker is not None:
            broker.stop(STOP_TIMEOUT_S)

    def _try_launch(self) -> Exception | None:
        try:
            self._broker = self._launch(_broker_type())
        except (OSError, RuntimeError) as error:
            return error
        return None

    def _launch(self, broker_type: type[Broker]) -> Broker:
        ports = _free_ports(self._host, self._ports)
        listeners = [
            _LISTENER.format(version=version, host=self._host, port=port)
            for version, port in zip(("v5", "v4"), ports, strict=True)
        ]
        with tempfile.TemporaryDirectory(prefix="framelane-broker-") as folder:
            config = Path(folder) / "rumqttd.toml"
            config.write_text(_CONFIG + "".join(listeners), encoding="utf-8")
            broker = broker_type(config_path=str(config))
            broker.start(START_TIMEOUT_S)
        self._ports = ports
        return broker


def _broker_type() -> type[Broker]:
    try:
        from iotcore import Broker  # noqa: PLC0415 only the demo needs it
    except ImportError as error:
        raise BrokerError("the demo needs the package iotcore: pip install 'framelane[demo]'") from error
    return Broker


def _free_ports(host: str, wanted: tuple[int, int]) -> tuple[int, int]:
    """Return two different ports; requested ones are kept."""
    with socket.socket() as first, socket.socket() as second:
        for sock, port in ((first, wanted[0]), (second, wanted[1])):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
        return first.getsockname()[1], second.getsockname()[1]
