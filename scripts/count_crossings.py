#!/usr/bin/env python3
"""Count crossings of all lines exactly, through duplicates, gaps and restarts. Needs only paho-mqtt."""

import json
import sys
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

counters: dict[tuple[str, ...], tuple[str, int]] = {}  # by node, stream, line, label, side: epoch, total
seen: set[str] = set()  # ids of events; forget them after some days


def count(body: dict[str, Any], line: str, label: str, side: str, total: int | None) -> None:
    """Take what a message says. Times sort as text: the newest epoch and its highest total win."""
    key, now = (body["node"], body["stream"], line, label, side), (body["epoch"] or "", total or 0)
    if now[0] and now > counters.get(key, ("", 0)):
        counters[key] = now
        print("count", *key, *now, flush=True)


def on_message(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
    """Take an event, once, or the counters of a line; an empty message says that the line is gone."""
    body = json.loads(message.payload or "{}")
    if body.get("schema") == "framelane.line/1":
        for side in ("left", "right"):
            count(body, body["line"], body["label"], side, body[side])
    elif body.get("kind") == "line" and body["event"] not in seen:
        seen.add(body["event"])
        print("crossed", body["rule"], body["object"]["label"], body["direction"], body["at"], flush=True)
        count(body, body["rule"], body["object"]["label"], body["direction"], body["total"])


def on_connect(client: mqtt.Client, *_: object) -> None:
    """Subscribe, again after each reconnect."""
    client.subscribe([("framelane/+/streams/+/events", 1), ("framelane/+/streams/+/lines/#", 1)])


client = mqtt.Client(CallbackAPIVersion.VERSION2, "my-counter", protocol=mqtt.MQTTv5)
client.on_connect, client.on_message = on_connect, on_message
session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho has no types there
session.SessionExpiryInterval = 86_400  # the broker keeps what comes while we are away
client.connect(sys.argv[1], int(sys.argv[2]), clean_start=False, properties=session)
client.loop_forever()
