"""The command that the demo prints, run as a user would run it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time

import pytest
from tests.neighbours.subscriber import Subscriber

pytest.importorskip("iotcore", reason="iotcore is not installed: pip install 'framelane[demo]'")

from framelane.demo.broker import EmbeddedBroker
from framelane.demo.show import subscribe_command

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
TOPIC = "framelane/demo/streams/cam00/detections"


def test_printed_command_shows_what_the_demo_publishes() -> None:
    with EmbeddedBroker() as broker, Subscriber(broker.url, "none") as publisher:
        # Retained, so that it doesn't matter which of the two is first.
        publisher.client.publish(TOPIC, b'{"seq": 1}', qos=1, retain=True).wait_for_publish(5)
        time.sleep(0.1)
        command = shlex.split(subscribe_command(broker.port))
        with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as shown:
            assert shown.stdout is not None
            line = shown.stdout.readline()
            shown.terminate()
    assert line == f'{TOPIC} {{"seq": 1}}\n'


def test_printed_command_says_that_no_demo_runs() -> None:
    command = shlex.split(subscribe_command(1))
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "nothing answers at 127.0.0.1:1 (Connection refused); is the demo running?\n"
