"""The units are valid for systemd and fit the daemon."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from framelane.config.yaml.load import check_text
from framelane.core.errors import ConfigError, ModelError
from framelane.gpu.errors import DeviceLostError

ROOT = Path(__file__).parents[2]
UNITS = [ROOT / "systemd" / "framelane.service", ROOT / "systemd" / "framelane@.service"]
MOST_EXPOSURE = 3.0
# Keys that differ between framelane.service and framelane@.service.
OWN = {
    "Description",
    "ExecReload",
    "ExecStart",
    "Environment",
    "EnvironmentFile",
    "WorkingDirectory",
    "StateDirectory",
    "RuntimeDirectory",
}

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is not installed: apt-get install systemd",
)


def settings(unit: Path) -> list[tuple[str, str]]:
    lines = [
        line
        for line in unit.read_text(encoding="utf-8").splitlines()
        if "=" in line and not line.startswith("#")
    ]
    return [(key, value) for key, _, value in (line.partition("=") for line in lines)]


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_no_fault_with_the_unit(unit: Path, tmp_path: Path) -> None:
    """With a program that exists: the daemon itself is not installed here."""
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text(encoding="utf-8").replace("/opt/framelane/bin/framelane", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )
    own = [line for line in done.stderr.splitlines() if "framelane" in line]
    assert own == []


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_unit_is_hardened(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    if found is None and "offline" in done.stderr:
        pytest.skip("this systemd-analyze can't look at files (before 250)")
    assert found is not None, done
    assert float(found[1]) <= MOST_EXPOSURE


def test_units_differ_in_what_nodes_have_for_themselves_alone() -> None:
    one, several = ([pair for pair in settings(unit) if pair[0] not in OWN] for unit in UNITS)
    assert one == several


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_unit_restarts_what_a_restart_can_mend(unit: Path) -> None:
    found = dict(settings(unit))
    assert found["Restart"] == "on-failure"
    never = {int(code) for code in found["RestartPreventExitStatus"].split()}
    assert never == {ConfigError.exit_code, ModelError.exit_code}
    assert DeviceLostError.exit_code not in never


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_unit_comes_back_soon_and_keeps_its_count_of_starts(unit: Path) -> None:
    found = dict(settings(unit))
    assert (found["RestartSec"], found["RuntimeDirectoryPreserve"]) == ("1s", "restart")
    assert found["StartLimitIntervalSec"] == "0", "it is tried forever"


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_unit_keeps_the_gpu_within_reach(unit: Path) -> None:
    """And allows memory that is written and then executed, which CUDA needs."""
    found = settings(unit)
    assert ("DevicePolicy", "closed") in found
    assert ("DeviceAllow", "char-nvidia* rw") in found
    keys = {key for key, _ in found}
    assert keys.isdisjoint({"PrivateDevices", "MemoryDenyWriteExecute"})


def test_example_configuration_is_one(tmp_path: Path) -> None:
    """But for the model's file, which is the user's."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    for name in ("MQTT_PW", "LOBBY_PW"):
        (credentials / f"framelane_{name}").write_text("long-and-secret")
    text = (ROOT / "systemd" / "framelane.yaml.example").read_text()
    environ = {"CREDENTIALS_DIRECTORY": str(credentials), "STATE_DIRECTORY": "/var/lib/framelane"}
    report = check_text(text, tmp_path, environ)
    assert [finding.path for finding in report.findings] == ["models.yolox.path"]


def test_install_lays_files_out_and_overwrites_nothing_of_the_administrator(tmp_path: Path) -> None:
    def install() -> None:
        command = [str(ROOT / "scripts" / "install_service.sh")]
        subprocess.run(command, env={**os.environ, "DESTDIR": str(tmp_path)}, check=True, capture_output=True)

    install()
    config = tmp_path / "etc" / "framelane" / "framelane.yaml"
    config.write_text("mine")
    unit = tmp_path / "etc" / "systemd" / "system" / "framelane.service"
    unit.write_text("old")
    install()
    assert (config.read_text(), unit.read_text()) == ("mine", UNITS[0].read_text())
    modes = {str(path.relative_to(tmp_path)): oct(path.stat().st_mode)[-3:] for path in tmp_path.rglob("*")}
    assert modes["etc/framelane"] == "750"
    assert modes["etc/framelane/credentials"] == "700"
    assert modes["etc/framelane/framelane.env"] == "640"
    assert modes["etc/systemd/system/framelane@.service"] == "644"
