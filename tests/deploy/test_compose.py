"""The compose project is valid, restricted, consistent and free of secrets."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.neighbours.mosquitto import Mosquitto
from tests.neighbours.subscriber import Login, Subscriber

from framelane.config.yaml.load import check_text

if TYPE_CHECKING:
    from types import ModuleType

FOLDER = Path(__file__).parents[2] / "deploy" / "compose"
PROJECT: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = PROJECT["services"]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """The folder of secrets."""
    spec = importlib.util.spec_from_file_location("make_secrets", FOLDER / "make_secrets.py")
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(tmp_path / "secrets")
    before = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    module.main(tmp_path / "secrets")
    assert before == {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    return tmp_path / "secrets"


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml"])
def test_compose_file_is_valid(name: str) -> None:
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        str(FOLDER / name),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_service_has_no_rights_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    tag = service["image"].rpartition(":")[2]
    assert tag[:1] in "v0123456789", "pinned by version"


def test_no_secret_stands_in_the_project() -> None:
    values = [value for service in SERVICES.values() for value in service.get("environment", {}).values()]
    assert all(value in {"false", "true"} or value.startswith("/run/secrets/") for value in values)
    assert all(set(secret) == {"file"} for secret in PROJECT["secrets"].values())


def test_what_the_project_mounts_is_there(made: Path) -> None:
    assert {path.name for path in made.iterdir()} == {
        Path(secret["file"]).name for secret in PROJECT["secrets"].values()
    }
    assert {name for service in SERVICES.values() for name in service.get("secrets", [])} == set(
        PROJECT["secrets"]
    )
    bound = [
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service["volumes"]
        if volume[0] == "."
    ]
    assert [path for path in bound if path != "./models" and not (FOLDER / path).exists()] == []


def test_configuration_is_one(made: Path, tmp_path: Path) -> None:
    """Under the environment of the project, but for the model's file, which is the user's."""
    given = SERVICES["framelane"]["environment"]
    environ = {name: str(made / Path(value).name) for name, value in given.items()}
    shutil.copytree(FOLDER / "streams.d", tmp_path / "streams.d")
    report = check_text(
        (FOLDER / "framelane.yaml").read_text(encoding="utf-8"),
        tmp_path,
        environ | {"STATE_DIRECTORY": "/var/lib/framelane"},
    )
    assert [finding.path for finding in report.findings] == ["models.yolox.path"]


def test_broker_takes_the_password_and_nobody_without_one(made: Path, tmp_path: Path) -> None:
    """The shipped settings, on a real broker."""
    lines = (
        (FOLDER / "mosquitto.conf")
        .read_text(encoding="utf-8")
        .replace("/run/secrets", str(made))
        .splitlines()
    )
    shipped = [line for line in lines if not line.startswith(("listener", "persistence", "#"))]
    with Shipped(tmp_path / "broker", shipped) as broker:
        login = Login("framelane", (made / "mqtt_password").read_text())
        with Subscriber(broker.url, "framelane/#", login=login) as subscriber:
            subscriber.client.publish("framelane/x", b"1", qos=1)
            assert subscriber.wait_for(lambda message: message.topic == "framelane/x").payload == b"1"
        with pytest.raises(AssertionError, match="not subscribed"), Subscriber(broker.url, "framelane/#"):
            pass


class Shipped(Mosquitto):
    """A broker with the settings of the project."""

    def __init__(self, folder: Path, shipped: list[str]) -> None:
        self._shipped = shipped
        super().__init__(folder)

    def _settings(self) -> list[str]:
        return ["user root", f"listener {self.port} 127.0.0.1", *self._shipped]


def test_prometheus_reads_its_configuration(made: Path, tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    text = (FOLDER / "prometheus.yml").read_text(encoding="utf-8").replace("/run/secrets", str(made))
    (tmp_path / "prometheus.yml").write_text(text)
    shutil.copy(FOLDER.parent / "prometheus" / "framelane.rules.yml", tmp_path)
    done = subprocess.run(
        ["promtool", "check", "config", str(tmp_path / "prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
