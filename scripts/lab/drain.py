"""Discard messages at almost no cost: `python -m lab.drain mqtt://127.0.0.1:1883 TOPIC`.

Subscribes at QoS 0, prints `ready`, and discards everything until SIGTERM. Without a subscriber a broker
skips half of its work.
"""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

_PATIENCE_S = 10.0
# Longer than any benchmark, because this client sends no pings.
_KEEPALIVE_S = 3600


def main() -> None:
    """Subscribe, then read."""
    url, topic = sys.argv[1:]
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
    subscribed: list[bool] = []
    client.on_subscribe = lambda *_: subscribed.append(True)
    address = urlsplit(url)

    def subscribe(*_: object) -> None:
        client.subscribe(topic)

    client.on_connect = subscribe
    client.connect(address.hostname or "127.0.0.1", address.port or 1883, _KEEPALIVE_S)
    while not subscribed:
        client.loop(_PATIENCE_S)
    sock = client.socket()
    sock.settimeout(None)  # type: ignore[union-attr] # it is connected
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while sock.recv(1 << 20):  # type: ignore[union-attr]
        pass


if __name__ == "__main__":
    main()
