"""Prints what the demo publishes, one message per line: `python -m framelane.demo.subscribe PORT`.

It needs only what the demo itself needs. For your own broker, see scripts/subscribe.py.
"""

from __future__ import annotations

import contextlib
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

HOST = "127.0.0.1"
TOPIC = "framelane/demo/streams/+/detections"


def main() -> None:
    """Connect, subscribe, and print until Ctrl-C or until the output is closed."""
    if len(sys.argv) != 2 or not sys.argv[1].isdecimal():  # noqa: PLR2004 - the program and the port
        sys.exit("usage: python -m framelane.demo.subscribe PORT")
    port = int(sys.argv[1])
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_connect = lambda client, *_: client.subscribe(TOPIC, qos=1)
    client.on_message = _show
    try:
        client.connect(HOST, port)
    except OSError as error:
        sys.exit(f"nothing answers at {HOST}:{port} ({error.strerror or error}); is the demo running?")
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        client.loop_forever()


def _show(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
    sys.stdout.write(f"{message.topic} {message.payload.decode()}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
