"""Passwords leave addresses, wherever cameras want them, and come back in the same place."""

# ruff: noqa: E501 - a table of messages reads best with each message whole

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from framelane.config.address import AddressError
from framelane.config.starter.hidden_secrets import hide_in_broker, hide_in_source, variables_in
from framelane.config.yaml.environment import substitute

URLS = [
    ("rtsp://10.0.0.7/1", "rtsp://10.0.0.7/1", []),
    ("rtsp://admin@10.0.0.7/1", "rtsp://admin@10.0.0.7/1", []),
    ("rtsp://admin:@10.0.0.7/1", "rtsp://admin:@10.0.0.7/1", []),
    ("rtsp://admin:hunter2@10.0.0.7:554/1", "rtsp://admin:${GATE_PW}@10.0.0.7:554/1", ["hunter2"]),
    ("rtsp://admin:admin@admin/admin", "rtsp://admin:${GATE_PW}@admin/admin", ["admin"]),
    ("rtsp://a:p@ss@10.0.0.7/1", "rtsp://a:${GATE_PW}@10.0.0.7/1", ["p@ss"]),
    ("rtsp://a:p%40ss@[::1]/1", "rtsp://a:${GATE_PW}@[::1]/1", ["p%40ss"]),
    ("rtsp://a:x:y@10.0.0.7/1", "rtsp://a:${GATE_PW}@10.0.0.7/1", ["x:y"]),
    ("rtsp://a:${LOBBY_PW}@10.0.0.7/1", "rtsp://a:${LOBBY_PW}@10.0.0.7/1", []),
    ("rtsp://a:x${LOBBY_PW}@10.0.0.7/1", "rtsp://a:${GATE_PW}@10.0.0.7/1", ["x${LOBBY_PW}"]),
    ("http://10.0.0.7/jpg?user=a&pwd=hunter2&w=640", "http://10.0.0.7/jpg?user=a&pwd=${GATE_PW}&w=640", ["hunter2"]),
    ("http://10.0.0.7/jpg?Token=abc&key=def", "http://10.0.0.7/jpg?Token=${GATE_PW2}&key=${GATE_PW}", ["abc", "def"]),
    ("http://10.0.0.7/jpg?monkey=abc", "http://10.0.0.7/jpg?monkey=abc", []),
    ("http://a:b@10.0.0.7/?password=c", "http://a:${GATE_PW2}@10.0.0.7/?password=${GATE_PW}", ["b", "c"]),
    ("rtsp://10.0.0.7/user=admin_password=tlJw_channel=1.sdp", "rtsp://10.0.0.7/user=admin_password=${GATE_PW}", ["tlJw_channel=1.sdp"]),
    ("clips/password=1.mp4", "clips/password=1.mp4", []),
    ("/dev/video0", "/dev/video0", []),
]  # fmt: skip


@pytest.mark.parametrize(("url", "text", "values"), URLS)
def test_secrets_leave_the_url_and_come_back(url: str, text: str, values: list[str]) -> None:
    hidden = hide_in_source(url, "gate", ())
    assert (hidden.text, [secret.value for secret in hidden.secrets]) == (text, values)
    environment = {secret.name: secret.value for secret in hidden.secrets} | {"LOBBY_PW": "from-outside"}
    back, problems = substitute(hidden.text, environment)
    assert problems == []
    outside = "from-outside" if not hidden.secrets else "${LOBBY_PW}"
    assert unquote(str(back)) == unquote(url).replace("${LOBBY_PW}", outside)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=255), min_size=1, max_size=12))
@example("p@ss/word")
@example("?")
@example("a@b?c")
@example("#")
@example("12/34")
@example("${")
@example("$${X}")
@example("abc${X}def")
@example("a]b")
def test_no_password_stays_in_the_url(password: str) -> None:
    """A password that can't be told from the rest of the URL is refused, and never written."""
    assume(variables_in(password) == [] or password != f"${{{variables_in(password)[0]}}}")
    try:
        hidden = hide_in_source(f"rtsp://admin:{password}@camera.example/stream", "gate", ())
    except AddressError as error:
        # A letter or two may be in any sentence.
        assert len(password) < 4 or password not in str(error)  # noqa: PT017 - one of two outcomes
        return
    assert hidden.text == "rtsp://admin:${GATE_PW}@camera.example/stream"
    secret = hidden.secrets[0]
    back, _ = substitute(hidden.text, {secret.name: secret.value})
    assert unquote(urlsplit(str(back)).password or "") == unquote(password)


@pytest.mark.parametrize(("stream", "name"), [
    ("lobby", "LOBBY_PW"), ("gate-1", "GATE_1_PW"), ("1", "CAM_1_PW"), ("a.b_c", "A_B_C_PW"),
])  # fmt: skip
def test_variables_are_named_after_the_stream(stream: str, name: str) -> None:
    secret = hide_in_source("rtsp://a:hunter2@h/1", stream, ()).secrets[0]
    assert (secret.name, secret.meaning) == (name, f"the password of stream `{stream}`")


def test_a_taken_name_gets_a_number() -> None:
    assert hide_in_source("rtsp://a:b@h/1", "gate", {"GATE_PW", "GATE_PW2"}).secrets[0].name == "GATE_PW3"


AFTER_HOST = (
    "has an `@` after the host; if it ends a password, percent-encode `/ ? # @ [ ]` in the password, "
    "else write %40 for it"
)


@pytest.mark.parametrize(("url", "message"), [
    ("rstp://h/1", "unsupported scheme `rstp`; did you mean `rtsp`?"),
    ("rtsp://admin:12/34@h/1", AFTER_HOST),
    ("rtsp://admin:?x@h/1", AFTER_HOST),
    ("rtsp://ad?min:x@h/1", AFTER_HOST),
    ("rtsp://admin:x@y?z@h/1", AFTER_HOST),
    ("http://h/1?mail=a@b", AFTER_HOST),
    ("rtsp://admin:pa/ss@h/1", "the port is not a number from 1 to 65535; percent-encode `/ ? # @ [ ]` in a password"),
])  # fmt: skip
def test_a_wrong_address_is_refused(url: str, message: str) -> None:
    with pytest.raises(AddressError) as caught:
        hide_in_source(url, "gate", ())
    assert str(caught.value) == message


@pytest.mark.parametrize(("url", "section", "value"), [
    ("mqtt://broker", {"url": "mqtt://broker:1883"}, None),
    ("mqtts://u@[::1]:8884", {"url": "mqtts://[::1]:8884", "username": "u"}, None),
    ("mqtt://u:p%40ss@broker", {"url": "mqtt://broker:1883", "username": "u", "password": "${MQTT_PW}"}, "p@ss"),
    ("mqtt://u:${MY_PW}@broker", {"url": "mqtt://broker:1883", "username": "u", "password": "${MY_PW}"}, None),
])  # fmt: skip
def test_a_brokers_password_becomes_a_variable(url: str, section: dict[str, str], value: str | None) -> None:
    found, secrets = hide_in_broker(url)
    assert found == section
    assert [secret.value for secret in secrets] == ([] if value is None else [value])


def test_variables_in_lists_each_name_once() -> None:
    assert variables_in("${A} ${B:-x} ${A} $${C} ${D}") == ["A", "C", "D"]
