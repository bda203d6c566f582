#!/usr/bin/env python3
"""Print what Framelane publishes, a line a message, and say where messages are missing; needs only paho-mqtt.

    scripts/subscribe.py                                   # everything below framelane/ on the local broker
    scripts/subscribe.py --url mqtt://broker --user me --topic 'framelane/+/streams/lobby/detections'

The password comes from the environment (MQTT_PASSWORD). For TLS write mqtts:// (and --ca FILE for a CA of your own).
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion


class Printer:
    """Prints messages; remembers the last `seq` of each stream to tell what is missing."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._last: dict[tuple[str, str, str], int] = {}

    def on_message(self, client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        """Print one line."""
        body = json.loads(message.payload) if message.payload else {}
        print(f"{message.topic}  {self._told(body)}", flush=True)
        self._left -= 1
        if self._left == 0:
            client.disconnect()

    def _told(self, body: dict[str, Any]) -> str:
        if body.get("schema") != "framelane.detections/1":
            return json.dumps(body)
        objects = ", ".join(f"{each['label']} {each['confidence']:.2f}" for each in body["detections"])
        late = " replayed" if body["replayed"] else ""
        return f"#{body['seq']} {body['captured_at']} [{objects}]{late}{self._missing(body)}"

    def _missing(self, body: dict[str, Any]) -> str:
        key = body["node"], body["stream"], body["run"]  # `seq` begins anew with each run
        last, seq = self._last.get(key, body["seq"] - 1), body["seq"]
        self._last[key] = max(seq, last)  # QoS 1 may bring one twice after a reconnect
        if seq <= last + 1:
            return ""
        return f"  MISSING {seq - last - 1} messages before this one: lost, unless they are replayed"


def main() -> None:
    """Connect, subscribe, print until Ctrl-C or --count messages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--url", default="mqtt://127.0.0.1:1883")
    parser.add_argument("--topic", action="append", help="may be given several times; default framelane/#")
    parser.add_argument("--user")
    parser.add_argument("--ca", help="PEM file of the authority that signed the broker's certificate")
    parser.add_argument("--count", type=int, default=-1, help="stop after so many messages")
    options = parser.parse_args()
    url = urlsplit(options.url)
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    if options.user:
        client.username_pw_set(options.user, os.environ.get("MQTT_PASSWORD"))
    if url.scheme == "mqtts":
        client.tls_set(options.ca)
    topics = [(topic, 1) for topic in options.topic or ["framelane/#"]]
    client.on_connect = lambda client, _data, _flags, reason, _properties: (
        print(f"refused: {reason}") if reason.is_failure else client.subscribe(topics)
    )
    client.on_message = Printer(options.count).on_message
    client.connect(url.hostname or "127.0.0.1", url.port or (8883 if url.scheme == "mqtts" else 1883))
    try:
        client.loop_forever()
    except KeyboardInterrupt:
        client.disconnect()


if __name__ == "__main__":
    main()
