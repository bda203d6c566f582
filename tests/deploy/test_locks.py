"""The locks: every package by version and hash, from nowhere in particular, and all that pyproject.toml asks for."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement

if TYPE_CHECKING:
    from packaging.markers import Marker

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PYTHONS = ("3.10.18", "3.11.13", "3.12.11")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def entries(lock: Path) -> list[str]:
    """A requirement with its hashes each."""
    joined = lock.read_text(encoding="utf-8").replace("\\\n", " ")
    return [line for line in joined.splitlines() if line and not line.lstrip().startswith("#")]


def locked(lock: Path, python: str) -> dict[str, str]:
    """Versions by name, as pip installs them on Linux with this Python."""
    found = {}
    for entry in entries(lock):
        requirement = Requirement(entry.partition("--hash")[0].strip())
        if applies(requirement.marker, python):
            (specifier,) = requirement.specifier
            assert specifier.operator == "=="
            assert requirement.name not in found
            found[requirement.name] = specifier.version
    return found


def applies(marker: Marker | None, python: str) -> bool:
    environment = {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    linux = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
    return marker is None or marker.evaluate(environment | linux)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_lock_pins_and_hashes_everything_and_names_no_host(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert text.startswith("# Written by `make lock` from ")
    assert not re.search(r"://|--(index|extra|find|trusted)|@ ", text)
    assert [entry for entry in entries(lock) if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)] == []


@pytest.mark.parametrize("python", PYTHONS)
def test_locks_hold_what_the_project_asks_for(python: str) -> None:
    asked = {"runtime": PROJECT["project"]["dependencies"], "build": PROJECT["build-system"]["requires"]}
    for name, requirements in asked.items():
        versions = locked(ROOT / "requirements" / f"{name}.txt", python)
        for requirement in map(Requirement, requirements):
            assert requirement.specifier.contains(versions[requirement.name]), requirement


@pytest.mark.parametrize("python", PYTHONS)
def test_gpu_lock_goes_together_with_the_runtime_lock(python: str) -> None:
    runtime, gpu = (locked(ROOT / "requirements" / f"{name}.txt", python) for name in ("runtime", "gpu"))
    assert {name for name in runtime.keys() & gpu.keys() if runtime[name] != gpu[name]} == set()
    wanted = {Requirement(line).name for line in PROJECT["project"]["optional-dependencies"]["gpu"]}
    assert wanted - {"tensorrt"} <= gpu.keys()


def test_source_distribution_holds_what_deployment_needs() -> None:
    included = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert {"/deploy", "/requirements", "/systemd", "/Dockerfile", "/.dockerignore"} <= set(included)
    assert [path for path in included if not (ROOT / path[1:]).exists()] == []
