from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.neighbours.mosquitto import Mosquitto

from lab.delivery import Load, deliver_framelane, deliver_paho
from lab.module import command, environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.delivery import Delivered


@pytest.mark.parametrize("deliver", [deliver_framelane, deliver_paho])
@pytest.mark.parametrize("rate", [None, 200.0])
def test_deliver_counts_what_a_real_broker_has_acknowledged(
    tmp_path: Path, deliver: Callable[[Load], Delivered], rate: float | None
) -> None:
    with Mosquitto(tmp_path) as broker:
        load = Load(broker.url, "5", "json", 1, 20, 4, 2, rate, 4, 0.5, None)
        delivered = deliver(load)
        assert delivered.messages > 0
        assert delivered.cpu_us > 0
        if rate is not None and deliver is deliver_framelane:
            assert delivered.messages <= 0.5 * rate + 4


def test_drain_takes_what_comes(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        started = command("drain", broker.url, "framelane/#")
        surroundings = {**os.environ, **environment()}
        with subprocess.Popen(started, env=surroundings, stdout=subprocess.PIPE, text=True) as drain:
            assert drain.stdout is not None
            assert drain.stdout.readline() == "ready\n"
            delivered = deliver_paho(Load(broker.url, "5", "json", 1, 20, 4, 2, None, 4, 0.3, None))
            assert drain.poll() is None
            drain.terminate()
        assert delivered.messages > 0
