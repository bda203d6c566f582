"""A subscriber as a process of its own: `python -m framelane.bench.subscriber mqtt://127.0.0.1:1883 TOPIC ...`.

It prints `ready` once subscribed, and answers each line on standard input with a line of JSON: `open` begins a
window, `frames` counts what has come in it by stream, `close` tells all of it, `take` does so and begins the next.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson
from paho.mqtt.client import Client, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from framelane.bench.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable

_SUBSCRIBE_TIMEOUT_S = 10.0


def main() -> None:
    """Subscribe, then answer until standard input ends."""
    url, *topics = sys.argv[1:]
    ledger = Ledger()
    client = subscribed(url, topics, lambda payload: ledger.book(payload, time.time()))
    _say("ready")
    answers: dict[str, Callable[[], str]] = {
        "open": lambda: _opened(ledger),
        "frames": lambda: orjson.dumps(ledger.frames()).decode(),
        "close": lambda: ledger.received().to_json(),
        "take": lambda: ledger.take().to_json(),
    }
    for line in sys.stdin:
        _say(answers[line.strip()]())
    client.disconnect()
    client.loop_stop()


def subscribed(url: str, topics: list[str], book: Callable[[bytes], None]) -> Client:
    """A client that has subscribed, and does so again after each reconnect; `book` gets every payload."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv311)  # paho takes twice the CPU for MQTT 5
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


def _opened(ledger: Ledger) -> str:
    ledger.open()
    return "{}"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
