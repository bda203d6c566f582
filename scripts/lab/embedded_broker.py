"""Run the embedded broker as a process, if mosquitto is missing: `python -m lab.embedded_broker`.

Prints two URLs, one per line: for clients with MQTT 5, and for those with 3.1.1.
"""

from __future__ import annotations

import signal
import sys
import threading

from framelane.demo.broker import EmbeddedBroker


def main() -> None:
    """Print the URLs and serve until SIGTERM."""
    ending = threading.Event()
    # The broker's child would inherit blocked signals, and could then not be stopped.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    with EmbeddedBroker() as broker:
        sys.stdout.write(f"{broker.url}\n{broker.url_v311}\n")
        sys.stdout.flush()
        ending.wait()


if __name__ == "__main__":
    main()
