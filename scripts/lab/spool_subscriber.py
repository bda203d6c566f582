"""Subscribe and check completeness: `python -m lab.spool_subscriber mqtt://127.0.0.1:1883`.

Prints `ready` once subscribed, and answers each line on standard input: `connected` or `told`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import orjson

from lab.completeness import Roll
from lab.subscriber import subscribed

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Subscribe, then answer until standard input ends."""
    roll = Roll()
    client = subscribed(sys.argv[1], "3.1.1", ["framelane/+/streams/+/detections"], roll.book)
    _say("ready")
    answers: dict[str, Callable[[], str]] = {
        "connected": lambda: orjson.dumps(client.is_connected()).decode(),
        "told": lambda: roll.told().to_json(),
    }
    for line in sys.stdin:
        _say(answers[line.strip()]())
    client.disconnect()
    client.loop_stop()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
