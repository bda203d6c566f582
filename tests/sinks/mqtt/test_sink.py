from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs
from tests.neighbours.mosquitto import Mosquitto, MosquittoOptions
from tests.neighbours.subscriber import Login, Subscriber
from tests.sinks.examples import FAREWELL, Gate, checked, detections, seqs, state, status
from tests.waiting import wait_until

from framelane.config.sections.mqtt import MqttConfig
from framelane.config.sections.mqtt_tls import TlsConfig
from framelane.core.clock import SystemClock
from framelane.messages.detections import Message
from framelane.messages.reports import removed_message
from framelane.sinks.mqtt.sink import MqttSink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.neighbours.mosquitto import Certificates
    from tests.neighbours.subscriber import Received
    from tests.sinks.conftest import WatchedSink

    Start = Callable[..., WatchedSink]

NODE = "framelane/gate-01"
DETECTIONS = f"{NODE}/streams/lobby/detections"

# After a failed TLS handshake paho leaves the socket to the garbage collector, which closes it and says so.
unclosed_by_paho = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def is_detections(message: Received) -> bool:
    return message.topic.endswith("/detections")


def is_offline(message: Received) -> bool:
    return message.topic == f"{NODE}/status" and message.json["state"] == "offline"


@pytest.fixture(autouse=True)
def no_retained(request: pytest.FixtureRequest) -> Iterator[None]:
    """Clear what a test has left retained in the shared broker."""
    yield
    if "broker" in request.fixturenames:
        with Subscriber(request.getfixturevalue("broker").url, qos=0) as cleaner:
            for topic in (f"{NODE}/status", f"{NODE}/streams/lobby/state"):
                cleaner.client.publish(topic, b"", qos=1, retain=True).wait_for_publish(5)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_sink_delivers_in_order(broker: Mosquitto, start: Start, protocol: str, qos: int) -> None:
    with Subscriber(broker.url, "framelane/#", qos=2) as subscriber:
        sink = start(broker.url, protocol=protocol, qos=qos, inflight=4)
        for seq in range(1, 51):
            sink.offer(detections(seq))
        received = subscriber.wait_for_count(50, predicate=is_detections)
        assert seqs([message.payload for message in received]) == list(range(1, 51))
        assert {(message.topic, message.qos, message.retain) for message in received} == {
            (DETECTIONS, qos, False)
        }
        assert received[0].payload == detections(1).payload


@pytest.mark.parametrize("qos", [1, 2])
def test_sink_counts_what_the_rules_of_the_broker_forbid(tmp_path: Path, start: Start, qos: int) -> None:
    """With QoS 2 it says so one packet earlier, and goes on as if all were well."""
    rules = MosquittoOptions(writable=f"{NODE}/status")
    with Mosquitto(tmp_path / "strict", rules) as strict, capture_logs() as logs:
        sink = start(strict.url, qos=qos)
        for seq in range(1, 21):
            sink.offer(detections(seq))
        wait_until(lambda: sink.health().dropped_by["refused"] == 20)
        assert (sink.health().delivered, sink.health().queued) == (0, 0)
    assert [log["reason"] for log in logs if log["event"] == "sink_failed"][:1] == ["refused"]


def test_sink_tells_what_a_payload_is_when_it_speaks_mqtt_5(broker: Mosquitto, start: Start) -> None:
    with Subscriber(broker.url, "framelane/#") as subscriber:
        sink = start(broker.url, expiry_s=60)
        sink.offer(state())
        sink.offer(detections(1))
        properties: Any = subscriber.wait_for(is_detections).properties
        of_state: Any = subscriber.wait_for(lambda message: message.topic.endswith("/state")).properties
    assert (properties.ContentType, properties.PayloadFormatIndicator) == ("application/json", 1)
    assert properties.UserProperty == [("schema", "framelane.detections/1"), ("node", "gate-01")]
    assert 0 < properties.MessageExpiryInterval <= 60
    assert of_state.UserProperty[0] == ("schema", "framelane.state/1")
    assert not hasattr(of_state, "MessageExpiryInterval")


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_sink_delivers_message_pack_and_says_so(broker: Mosquitto, start: Start, protocol: str) -> None:
    with Subscriber(broker.url, "framelane/#") as subscriber:
        sink = start(broker.url, protocol=protocol, payload="msgpack")
        sent = detections(1, encoding="msgpack")
        for message in (
            sent,
            detections(2),
        ):  # the second as out of a spool from before the setting was changed
            sink.offer(message)
        packed, plain = subscriber.wait_for_count(2, predicate=is_detections)
    assert (packed.payload, plain.json["seq"]) == (sent.payload, 2)
    if protocol == "5":
        told: list[Any] = [packed.properties, plain.properties]
        # paho gives what is not there no attribute; mosquitto passes a format of 0 on as none
        assert [(each.ContentType, getattr(each, "PayloadFormatIndicator", 0)) for each in told] == [
            ("application/msgpack", 0),
            ("application/json", 1),
        ]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_sink_retains_states_and_nothing_else(broker: Mosquitto, start: Start, protocol: str) -> None:
    sink = start(broker.url, protocol=protocol)
    with Subscriber(broker.url, "framelane/#") as early:
        messages = [status(), state(), Message("stats", "lobby", b"{}", retain=False), detections(1)]
        for message in messages:
            sink.offer(message)
        early.wait_for_count(4)
    with Subscriber(broker.url, "framelane/#") as late:
        late.wait_for_count(2)
        late.client.publish("framelane/end", b"1", qos=1)
        late.wait_for(lambda message: message.topic == "framelane/end")
        retained = {message.topic: message.json["state"] for message in late.messages if message.retain}
    assert retained == {f"{NODE}/status": "online", f"{NODE}/streams/lobby/state": "live"}


def test_sink_says_goodbye_after_all_that_waited(broker: Mosquitto, start: Start) -> None:
    with Subscriber(broker.url, "framelane/#") as subscriber:
        sink = start(broker.url, inflight=8)
        sink.offer(status())
        for seq in range(1, 301):
            sink.offer(detections(seq))
        sink.stop(10.0, FAREWELL)
        received = subscriber.wait_for_count(302)
        subscriber.client.publish("framelane/end", b"1", qos=1)
        subscriber.wait_for(lambda message: message.topic == "framelane/end")
        said = [message for message in subscriber.messages if message.topic == f"{NODE}/status"]
    assert seqs([message.payload for message in received if is_detections(message)]) == list(range(1, 301))
    assert [(message.json["state"], message.json["reason"]) for message in said] == [
        ("online", "ok"),
        ("offline", "stopping"),
    ]
    assert is_offline(received[-1])
    assert (sink.health().queued, sink.health().dropped, sink.health().delivered) == (0, 0, 302)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_broker_publishes_the_last_will_when_the_process_is_killed(broker: Mosquitto, protocol: str) -> None:
    script = (
        "import time; from tests.sinks.examples import *; from framelane.config.sections.mqtt import MqttConfig;"
        "from framelane.core.clock import SystemClock; from framelane.sinks.mqtt.sink import MqttSink;"
        f"sink = MqttSink(MqttConfig(url={broker.url!r}, protocol={protocol!r}), 'gate-01', 'run-1', SystemClock());"
        "sink.start(); sink.offer(status()); time.sleep(60)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with Subscriber(broker.url, f"{NODE}/status") as subscriber:
        daemon = subprocess.Popen([sys.executable, "-c", script], env=env)
        try:
            subscriber.wait_for(lambda message: message.json["state"] == "online", 20)
        finally:
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()
        will = subscriber.wait_for(is_offline)
    body = checked(Message("status", None, will.payload, retain=True))
    assert (body["reason"], body["run"], body["since"]) == (
        "lost",
        "run-1",
        None,
    )  # only the broker knows when
    with Subscriber(broker.url, f"{NODE}/status") as late:
        assert late.wait_for(is_offline).retain
    if protocol == "5":
        assert will.properties.ContentType == "application/json"  # type: ignore[union-attr]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_sink_gets_in_with_the_right_password(tmp_path: Path, start: Start, protocol: str) -> None:
    with Mosquitto(tmp_path, MosquittoOptions(users=(("framelane", "right-one"),))) as broker:
        login = Login("framelane", "right-one")
        with Subscriber(broker.url, "framelane/#", login=login) as subscriber:
            sink = start(broker.url, protocol=protocol, username="framelane", password="right-one")
            sink.offer(detections(1))
            subscriber.wait_for(is_detections)

            wrong = start(
                broker.url, protocol=protocol, username="framelane", password="wrong-one", client_id="w"
            )
            nobody = start(broker.url, protocol=protocol, client_id="n")
            for other in (wrong, nobody):
                other.offer(detections(2))
                said = other.watch.wait(connected=False)
                assert "check mqtt.username" in said
                assert "wrong-one" not in said
                assert (said, 1, False) == (
                    other.health().last_error,
                    other.health().queued,
                    other.health().connected,
                )


@pytest.fixture(scope="module")
def tls_broker(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("tls"), MosquittoOptions(certificates=certificates)) as running:
        yield running


@pytest.mark.parametrize("way", ["ca", "no verification"])
def test_sink_speaks_tls(tls_broker: Mosquitto, certificates: Certificates, start: Start, way: str) -> None:
    tls = TlsConfig(ca_file=str(certificates.ca)) if way == "ca" else TlsConfig(verify=False)
    login = Login(certificates=certificates)
    with Subscriber(tls_broker.url, "framelane/#", login=login) as subscriber:
        sink = start(tls_broker.url, tls=tls)
        for seq in range(1, 501):
            sink.offer(detections(seq))
        received = subscriber.wait_for_count(500, predicate=is_detections)
        assert seqs([message.payload for message in received]) == list(range(1, 501))
        sink.stop(5.0, FAREWELL)
        subscriber.wait_for(is_offline)


@unclosed_by_paho
def test_sink_shows_its_certificate_when_the_broker_asks(
    tmp_path: Path, certificates: Certificates, start: Start
) -> None:
    options = MosquittoOptions(certificates=certificates, require_client_certificate=True)
    with Mosquitto(tmp_path, options) as broker:
        ca, cert, key = (str(certificates.ca), str(certificates.client_cert), str(certificates.client_key))
        sink = start(broker.url, tls=TlsConfig(ca_file=ca, cert_file=cert, key_file=key))
        sink.watch.wait(connected=True)
        without = start(broker.url, tls=TlsConfig(ca_file=ca), client_id="without")
        assert "mqtt.tls.cert_file" in without.watch.wait(connected=False)


@unclosed_by_paho
def test_sink_says_what_to_do_when_the_certificate_is_not_trusted(
    tls_broker: Mosquitto, start: Start, tmp_path: Path, certificates: Certificates
) -> None:
    other = start(tls_broker.url, tls=TlsConfig())
    assert "set mqtt.tls.ca_file" in other.watch.wait(connected=False)
    port = tls_broker.port
    misnamed = start(f"mqtts://127.0.0.2:{port}", tls=TlsConfig(ca_file=str(certificates.ca)))
    # mosquitto listens on 127.0.0.1 alone, so this one is refused before a name could be compared
    assert "is the broker running" in misnamed.watch.wait(connected=False)


@unclosed_by_paho
def test_sink_says_what_to_do_when_only_one_side_speaks_tls(
    tls_broker: Mosquitto, broker: Mosquitto, start: Start
) -> None:
    plain = start(f"mqtt://127.0.0.1:{tls_broker.port}")
    assert "mqtts://" in plain.watch.wait(connected=False)
    encrypted = start(f"mqtts://127.0.0.1:{broker.port}")
    assert "TLS" in encrypted.watch.wait(connected=False)


def test_sink_delivers_what_waited_when_the_broker_comes_late(tmp_path: Path, start: Start) -> None:
    with Mosquitto(tmp_path) as broker:
        broker.stop()
        gate = Gate()
        sink = start(broker.url, queue=5, backoff=gate)
        for message in (status(), state(), *map(detections, range(1, 9))):
            sink.offer(message)
        assert "connection refused: is the broker running" in sink.watch.wait(connected=False)
        assert (sink.health().queued, sink.health().dropped) == (5, 3)
        broker.start()
        with Subscriber(broker.url, "framelane/#") as subscriber:
            gate.open()
            received = subscriber.wait_for_count(7)
        assert [message.topic for message in received[:2]] == [
            f"{NODE}/status",
            f"{NODE}/streams/lobby/state",
        ]
        assert seqs([message.payload for message in received[2:]]) == [4, 5, 6, 7, 8]
        sink.watch.wait(connected=True)
        assert sink.health().last_error is None


@pytest.mark.parametrize("ending", ["kill", "stop"])
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_sink_goes_on_without_a_gap_when_the_broker_returns(
    tmp_path: Path, start: Start, ending: str, protocol: str
) -> None:
    with Mosquitto(tmp_path) as broker:
        gate = Gate()
        sink = start(broker.url, protocol=protocol, backoff=gate)
        with Subscriber(broker.url, "framelane/#") as subscriber:
            for message in (status(), state(), *map(detections, range(1, 11))):
                sink.offer(message)
            before = subscriber.wait_for_count(10, predicate=is_detections)
            # Subscribers have them all; what the sink has no acknowledgement for it sends again, rightly.
            wait_for_acknowledgements(sink)
        getattr(broker, ending)()
        for seq in range(11, 21):
            sink.offer(detections(seq))
        sink.watch.wait(connected=False)
        broker.start()
        with Subscriber(broker.url, "framelane/#") as subscriber:
            gate.open()
            after = subscriber.wait_for_count(12)
            sink.watch.wait(connected=True, count=2)
            topics = [message.topic for message in after[:2]]
        assert topics == [f"{NODE}/status", f"{NODE}/streams/lobby/state"]
        assert seqs([message.payload for message in before]) == list(range(1, 11))
        assert seqs([message.payload for message in after[2:]]) == list(range(11, 21))
        assert sink.health().dropped == 0


def test_sink_never_started_stops_at_once() -> None:
    sink = MqttSink(MqttConfig(url="mqtt://127.0.0.1:1"), "gate-01", "run-1", SystemClock())
    sink.offer(detections(1))
    sink.stop(5.0, FAREWELL)
    assert sink.health().dropped == 1


def wait_for_acknowledgements(sink: MqttSink) -> None:
    wait_until(lambda: sink.health().queued == 0)


def test_removed_stream_leaves_nothing_retained(broker: Mosquitto, start: Start) -> None:
    sink = start(broker.url)
    sink.offer(state())
    with Subscriber(broker.url, f"{NODE}/#") as subscriber:
        subscriber.wait_for(lambda message: bool(message.payload))
        sink.offer(removed_message("lobby"))
        subscriber.wait_for(lambda message: not message.payload)
    with Subscriber(broker.url, f"{NODE}/streams/#") as late:
        sink.offer(detections(1))
        late.wait_for(is_detections)
        assert [message.retain for message in late.messages] == [False]
