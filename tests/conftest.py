"""What several parts' tests need: a log that goes nowhere and a clean registry of secrets are theirs by default."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog
from tests.small_disk import small_file_system

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True, scope="session")
def _state_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Daemons keep their spools there, and not in the home of who runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STATE_DIRECTORY", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True)
def _state_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds what another has spooled."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))


@pytest.fixture(autouse=True, scope="session")
def _quiet_log() -> Iterator[None]:
    """Tracebacks of faults that tests cause on purpose are no news; tests of the log set it up themselves."""
    structlog.configure(processors=[_drop])
    yield
    structlog.reset_defaults()


def _drop(*_: object) -> str:
    raise structlog.DropEvent


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    with small_file_system(tmp_path / "small", "8m") as folder:
        yield folder
