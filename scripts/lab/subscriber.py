"""A subscriber as a separate process: `python -m lab.subscriber URL PROTOCOL TOPIC ...`.

PROTOCOL is 5, or 3.1.1, which costs paho half the CPU. Prints `ready` once subscribed, and answers each line
on standard input with a line of JSON: `open` starts a window, `frames` counts its results by stream, `close`
returns the window, `take` returns it and starts the next.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import urlsplit

import orjson
from paho.mqtt.client import Client, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from lab.delivery_record import DeliveryRecord

if TYPE_CHECKING:
    from collections.abc import Callable

Protocol: TypeAlias = Literal["5", "3.1.1"]
_SUBSCRIBE_TIMEOUT_S = 10.0


def main() -> None:
    """Subscribe, then answer until standard input ends."""
    url, protocol, *topics = sys.argv[1:]
    record = DeliveryRecord()
    client = subscribed(url, protocol, topics, lambda payload: record.book(payload, time.time()))
    _say("ready")
    answers: dict[str, Callable[[], str]] = {
        "open": lambda: _opened(record),
        "frames": lambda: orjson.dumps(record.frames()).decode(),
        "close": lambda: record.received().to_json(),
        "take": lambda: record.take().to_json(),
    }
    for line in sys.stdin:
        _say(answers[line.strip()]())
    client.disconnect()
    client.loop_stop()


def subscribed(url: str, protocol: str, topics: list[str], book: Callable[[bytes], None]) -> Client:
    """Return a client that subscribes after each connect; `book` gets every payload."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5 if protocol == "5" else MQTTv311)
    subscribed = threading.Event()

    def take(_client: Client, _data: object, message: MQTTMessage) -> None:
        book(bytes(message.payload))

    def subscribe(*_: object) -> None:
        client.subscribe([(topic, 1) for topic in topics])

    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = take
    address = urlsplit(url)
    client.on_connect = subscribe
    client.reconnect_delay_set(1, 1)
    client.connect(address.hostname or "127.0.0.1", address.port or 1883)
    client.loop_start()
    if not subscribed.wait(_SUBSCRIBE_TIMEOUT_S):
        sys.exit(f"no subscription at {url} within {_SUBSCRIBE_TIMEOUT_S:g} s")
    return client


def _opened(record: DeliveryRecord) -> str:
    record.open()
    return "{}"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
