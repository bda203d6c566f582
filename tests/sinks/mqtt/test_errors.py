from __future__ import annotations

import socket
import ssl
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from framelane.config.sections.mqtt import MqttConfig
from framelane.config.sections.mqtt_tls import TlsConfig
from framelane.core.errors import ConfigError
from framelane.sinks.mqtt.broker import Broker
from framelane.sinks.mqtt.errors import cut_off, lost, refused, unreachable

if TYPE_CHECKING:
    from pathlib import Path

    from tests.neighbours.mosquitto import Certificates

URL = "mqtts://broker:8883"


def verification_error(code: int, text: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, text)
    error.verify_code, error.verify_message = code, text
    return error


def ssl_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] said the library")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "reason", "text"),
    [
        (socket.gaierror(-2, "Name or service not known"), "unknown_host", "no such host: check mqtt.url"),
        (ConnectionRefusedError(111, "Connection refused"), "refused", "is the broker running"),
        (TimeoutError("timed out"), "timeout", "check mqtt.url, the network and the firewall"),
        (ConnectionResetError(104, "reset"), "refused", "is it the TLS port"),
        (OSError(113, "No route to host"), "unreachable", "No route to host"),
        (verification_error(20, "unable to get local issuer"), "certificate", "set mqtt.tls.ca_file"),
        (verification_error(62, "Hostname mismatch."), "certificate", "write the certificate's own name"),
        (verification_error(10, "certificate has expired"), "certificate", "renew it at the broker"),
        (verification_error(9, "certificate is not yet valid"), "certificate", "check this host's clock"),
        (ssl_error("SSLV3_ALERT_CERTIFICATE_EXPIRED"), "tls", "renew mqtt.tls.cert_file"),
        (ssl_error("WRONG_VERSION_NUMBER"), "tls", "write mqtt:// in mqtt.url"),
        (
            ssl_error("TLSV13_ALERT_CERTIFICATE_REQUIRED"),
            "tls",
            "set mqtt.tls.cert_file and mqtt.tls.key_file",
        ),
        (ssl_error("TLSV1_ALERT_UNKNOWN_CA"), "tls", "does not trust the client certificate"),
    ],
)
def test_unreachable_says_what_to_do(error: OSError, reason: str, text: str) -> None:
    said = unreachable(URL, error)
    assert reason == said.reason
    assert text in str(said)
    assert str(said).startswith(URL)


@pytest.mark.parametrize(
    ("code", "reason", "text"),
    [
        (132, "protocol", "set mqtt.protocol"),
        (133, "client_id", "set mqtt.client_id"),
        (134, "unauthorized", "check mqtt.username and mqtt.password_file"),
        (135, "unauthorized", "not authorized: check mqtt.username"),
        (142, "taken_over", "give each node its own node.id, or set mqtt.client_id"),
        (144, "refused", "the broker says topic name invalid (code 144)"),
        (154, "retain", "set mqtt.retain to false"),
        (155, "qos", "lower mqtt.qos"),
        (0xF0, "refused", "the broker says code 240, which MQTT does not know"),
    ],
)
def test_refused_says_what_to_do(code: int, reason: str, text: str) -> None:
    said = refused(URL, code)
    assert reason == said.reason
    assert text in str(said)


@pytest.mark.parametrize("mqtt5", [True, False])
def test_cut_off_suspects_tls_when_we_speak_without_and_an_old_broker_with_mqtt_5(*, mqtt5: bool) -> None:
    said = str(cut_off(URL, "", tls=False, mqtt5=mqtt5))
    assert "write mqtts:// in mqtt.url" in said
    assert ('if it supports only MQTT 3.1.1, set mqtt.protocol: "3.1.1"' in said) == mqtt5


@pytest.mark.parametrize("oldest", [None, "219 bytes on a/topic"])
@pytest.mark.parametrize(("lived_s", "asks"), [(0.5, True), (60.0, False)])
def test_lost_asks_for_another_client_when_it_was_soon(
    *, lived_s: float, asks: bool, oldest: str | None
) -> None:
    said = str(lost(URL, "framelane-gate-01", lived_s, oldest))
    assert said.startswith(f"{URL}: connection lost")
    assert ("does another client connect with the id 'framelane-gate-01'?" in said) == asks
    assert ("does the broker not take what was in flight (219 bytes on a/topic)" in said) == (
        asks and oldest is not None
    )


def config(**changes: Any) -> MqttConfig:
    return MqttConfig(**{"url": "mqtts://127.0.0.1", **changes})


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"url": "http://broker"}, "mqtt.url: "),
        ({"url": "broker"}, "mqtt.url: has no scheme"),
        (
            {"tls": TlsConfig(ca_file="/nowhere/ca.pem")},
            "mqtt.tls: can't load the TLS files (/nowhere/ca.pem): No such",
        ),
        ({"tls": TlsConfig(ca_file="/dev/null")}, "mqtt.tls: can't load the TLS files (/dev/null): "),
    ],
)
def test_broker_is_a_finding_when_it_cannot_be_used(changes: dict[str, Any], finding: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Broker(config(**changes), "gate-01")
    assert str(caught.value).startswith(finding)


def test_broker_is_a_finding_when_key_and_certificate_do_not_belong_together(
    certificates: Certificates,
) -> None:
    tls = TlsConfig(cert_file=str(certificates.client_cert), key_file=str(certificates.server_key))
    with pytest.raises(ConfigError, match="must be PEM and belong together"):
        Broker(config(tls=tls), "gate-01")


def test_broker_is_a_finding_when_the_key_has_a_password(tmp_path: Path, certificates: Certificates) -> None:
    locked = tmp_path / "locked.key"
    command = ["openssl", "pkey", "-in", str(certificates.client_key), "-aes128", "-passout", "pass:secret"]
    subprocess.run([*command, "-out", str(locked)], check=True)
    tls = TlsConfig(cert_file=str(certificates.client_cert), key_file=str(locked))
    with pytest.raises(ConfigError, match="the key without a password"):
        Broker(config(tls=tls), "gate-01")


@pytest.mark.parametrize(("client_id", "expected"), [(None, "site/a-gate-01"), ("mine", "mine")])
def test_broker_knows_its_client_id(client_id: str | None, expected: str) -> None:
    assert expected == Broker(config(client_id=client_id, prefix="site/a"), "gate-01").client_id


def test_broker_takes_credentials_from_the_url_and_never_shows_them() -> None:
    broker = Broker(config(url="mqtt://me:hunter22@host"), "gate-01")
    assert (broker.username, broker.password, str(broker)) == ("me", "hunter22", "mqtt://host:1883")
