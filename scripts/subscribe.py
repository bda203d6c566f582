#!/usr/bin/env python3
"""Print what Framelane publishes, one line per message, and report missing and repeated messages.

Needs only paho-mqtt, and ormsgpack if `mqtt.payload` is msgpack.

    scripts/subscribe.py                                   # everything below framelane/ on the local broker
    scripts/subscribe.py --url mqtt://broker --user me --topic 'framelane/+/streams/lobby/detections'

The password comes from the environment (MQTT_PASSWORD). For TLS use mqtts:// (and --ca FILE for your own CA).
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion


class Run:
    """The `seq` of one stream in one run: lowest, highest, and the missing ones in between."""

    def __init__(self, seq: int) -> None:
        self._low, self._high = seq, seq - 1
        self._missing: set[int] = set()

    def judge(self, seq: int) -> str:
        """Return a remark on a message's `seq`; empty if it is the expected one."""
        if seq in self._missing:
            self._missing.remove(seq)
            return f"  fills a gap; {len(self._missing)} still missing"
        if self._low <= seq <= self._high:
            return "  TWICE"
        before = len(self._missing)
        self._missing.update(range(self._high + 1, seq), range(seq + 1, self._low))
        self._low, self._high = min(seq, self._low), max(seq, self._high)
        new = len(self._missing) - before
        return f"  MISSING {new} messages" if new else ""


class Printer:
    """Prints messages and tracks each stream's runs to find missing ones."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._runs: dict[tuple[str, str, str], Run] = {}

    def on_message(self, client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        """Print one line."""
        body = decoded(bytes(message.payload))
        print(f"{message.topic}  {self._told(body)}", flush=True)
        self._left -= 1
        if self._left == 0:
            client.disconnect()

    def _told(self, body: dict[str, Any]) -> str:
        if body.get("schema") != "framelane.detections/1":
            return json.dumps(body)
        objects = ", ".join(f"{each['label']} {each['confidence']:.2f}" for each in body["detections"])
        # `seq` restarts with each run.
        key = body["node"], body["stream"], body["run"]
        run = self._runs.setdefault(key, Run(body["seq"]))
        late = "  replayed" if body["replayed"] else ""
        return f"#{body['seq']} {body['captured_at']} [{objects}]{late}{run.judge(body['seq'])}"


def decoded(payload: bytes) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return the decoded message; an empty one removes a retained message."""
    if payload[:1] <= b"\x7f":
        return json.loads(payload) if payload else {}
    import ormsgpack  # noqa: PLC0415 - few need it

    return ormsgpack.unpackb(payload)


def main() -> None:
    """Connect, subscribe, print until Ctrl-C or --count messages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--url", default="mqtt://127.0.0.1:1883")
    parser.add_argument(
        "--topic", action="append", help="topic; may be given several times (default: framelane/#)"
    )
    parser.add_argument("--user")
    parser.add_argument("--ca", help="PEM file of the CA of the broker's certificate")
    parser.add_argument("--count", type=int, default=-1, help="stop after N messages")
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
