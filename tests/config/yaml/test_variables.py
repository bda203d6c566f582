"""`${NAME}` from the environment, from a file that it names, and from systemd's credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from framelane.config.yaml.load import check_text
from framelane.core.redact import redact

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """
mqtt: {url: "mqtt://127.0.0.1"}
models: {yolox: {path: m.onnx}}
streams: [{id: lobby, url: "rtsp://viewer:${LOBBY_PW}@10.0.0.7/1"}]
"""


def url(base: Path, environ: dict[str, str]) -> str:
    return check_text(TEXT, base, environ).require().streams[0].url.get_secret_value()


@pytest.fixture
def credentials(base: Path) -> Path:
    folder = base / "credentials"
    folder.mkdir()
    return folder


def test_variable_is_read_from_the_file_that_the_environment_names(base: Path) -> None:
    environ = {"LOBBY_PW_FILE": str(base / "secret")}
    assert url(base, environ) == "rtsp://viewer:hunter2hunter2@10.0.0.7/1"
    assert redact("it is hunter2hunter2") == "it is ***"


@pytest.mark.parametrize("name", ["LOBBY_PW", "framelane_LOBBY_PW"])
def test_variable_is_read_from_the_credential_of_its_name(base: Path, credentials: Path, name: str) -> None:
    """As LoadCredential=LOBBY_PW:FILE and LoadCredential=framelane:FOLDER name it; a URL has it percent-encoded."""
    (credentials / name).write_text("p@ss/w rd\n")
    environ = {"CREDENTIALS_DIRECTORY": str(credentials)}
    assert url(base, environ) == "rtsp://viewer:p%40ss%2Fw%20rd@10.0.0.7/1"
    assert redact("p@ss/w rd and p%40ss%2Fw%20rd") == "*** and ***"


def test_variable_is_taken_from_the_environment_first_then_its_file_then_a_credential(
    base: Path, credentials: Path
) -> None:
    (credentials / "LOBBY_PW").write_text("from-credential")
    environ = {"CREDENTIALS_DIRECTORY": str(credentials)}
    assert "from-credential" in url(base, environ)
    environ["LOBBY_PW_FILE"] = str(base / "secret")
    assert "hunter2hunter2" in url(base, environ)
    environ["LOBBY_PW"] = "from-environment"
    assert "from-environment" in url(base, environ)


def test_password_file_may_name_the_folder_of_credentials(base: Path, credentials: Path) -> None:
    (credentials / "mqtt").write_text("long-and-secret\n")
    text = TEXT.replace(
        '"mqtt://127.0.0.1"',
        '"mqtt://127.0.0.1", username: u, password_file: "${CREDENTIALS_DIRECTORY}/mqtt"',
    )
    environ = {"CREDENTIALS_DIRECTORY": str(credentials), "LOBBY_PW": "x"}
    mqtt = check_text(text, base, environ).require().mqtt
    assert mqtt is not None
    assert mqtt.password is not None
    assert mqtt.password.get_secret_value() == "long-and-secret"


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("missing", "can't read {file} for `LOBBY_PW`: No such file or directory"),
        ("empty", "{file} for `LOBBY_PW` is empty"),
        ("binary", "{file} for `LOBBY_PW` is not UTF-8 text"),
    ],
)
def test_file_that_holds_no_secret_is_a_finding(base: Path, file: str, message: str) -> None:
    path = base / file
    findings = check_text(TEXT, base, {"LOBBY_PW_FILE": str(path)}).findings
    assert [str(finding) for finding in findings] == ["streams[0].url: " + message.format(file=path)]


def test_fallback_stands_in_where_there_is_neither_variable_nor_file(base: Path, credentials: Path) -> None:
    text = TEXT.replace("${LOBBY_PW}", "${LOBBY_PW:-none}")
    config = check_text(text, base, {"CREDENTIALS_DIRECTORY": str(credentials)}).require()
    assert config.streams[0].url.get_secret_value() == "rtsp://viewer:none@10.0.0.7/1"


def test_variable_from_a_file_has_no_byte_order_mark(base: Path) -> None:
    (base / "secret").write_text("\ufeffhunter2hunter2\r\n", encoding="utf-8")
    assert url(base, {"LOBBY_PW_FILE": str(base / "secret")}) == "rtsp://viewer:hunter2hunter2@10.0.0.7/1"
