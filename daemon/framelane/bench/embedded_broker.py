"""The embedded broker as a process, where mosquitto is missing: `python -m framelane.bench.embedded_broker`."""

from __future__ import annotations

import signal
import sys
import threading

from framelane.demo.broker import EmbeddedBroker


def main() -> None:
    """Print the URL, and serve until SIGTERM."""
    ending = threading.Event()
    # Blocked signals would be inherited by the broker's own child, which could then not be told to end.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    with EmbeddedBroker() as broker:
        sys.stdout.write(f"{broker.url}\n")
        sys.stdout.flush()
        ending.wait()


if __name__ == "__main__":
    main()
