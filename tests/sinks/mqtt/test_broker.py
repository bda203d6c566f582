from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest

from framelane.config.sections.mqtt import MqttConfig
from framelane.core.errors import ConfigError
from framelane.sinks.mqtt.broker import Broker
from framelane.sinks.mqtt.errors import BrokerError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.neighbours.mosquitto import Certificates


def broker(**config: Any) -> Broker:
    return Broker(MqttConfig.model_validate({"url": "mqtt://127.0.0.1", **config}), "gate-01")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://broker.local", ("broker.local", 1883, False)),
        ("mqtts://broker.local", ("broker.local", 8883, True)),
        ("mqtt://[::1]:1884", ("::1", 1884, False)),
    ],
)
def test_address_has_the_usual_port_and_says_whether_tls_is_used(
    url: str, expected: tuple[str, int, bool]
) -> None:
    found = broker(url=url)
    assert (found.host, found.port, found.tls) == expected
    assert (found.tls_context() is not None) == expected[2]


def test_login_of_the_section_goes_before_that_of_the_url() -> None:
    url = "mqtt://me:sesame@127.0.0.1"
    assert (broker(url=url).username, broker(url=url).password) == ("me", "sesame")
    other = broker(url=url, username="you", password="open")
    assert (other.username, other.password) == ("you", "open")


def test_broker_in_words_has_no_login() -> None:
    assert str(broker(url="mqtt://me:sesame@127.0.0.1")) == "mqtt://127.0.0.1:1883"


@pytest.mark.parametrize(
    ("config", "expected"),
    [({}, "framelane-gate-01"), ({"prefix": "site/a"}, "site/a-gate-01"), ({"client_id": "x"}, "x")],
)
def test_client_id_names_the_node_unless_it_is_set(config: dict[str, str], expected: str) -> None:
    assert broker(**config).client_id == expected


def test_url_that_can_not_be_used_is_a_finding_with_its_key() -> None:
    with pytest.raises(ConfigError) as found:
        broker(url="http://127.0.0.1")
    assert [each.path for each in found.value.findings] == ["mqtt.url"]


def test_file_that_is_no_certificate_is_a_finding_with_its_name(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(ConfigError) as found:
        broker(url="mqtts://127.0.0.1", tls={"ca_file": str(file)})
    (finding,) = found.value.findings
    assert finding.path == "mqtt.tls"
    assert f"can't load the TLS files ({file})" in finding.message


def test_files_are_read_again_for_each_connection(tmp_path: Path, certificates: Certificates) -> None:
    """Certificates are renewed while the daemon runs."""
    file = tmp_path / "ca.pem"
    file.write_bytes(certificates.ca.read_bytes())
    made = broker(url="mqtts://127.0.0.1", tls={"ca_file": str(file)})
    first = made.tls_context()
    assert first is not None
    assert first is not made.tls_context()
    file.unlink()
    with pytest.raises(BrokerError, match="No such file"):
        made.tls_context()


def test_certificate_that_is_not_to_be_checked_is_not() -> None:
    context = broker(url="mqtts://127.0.0.1", tls={"verify": False}).tls_context()
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)
