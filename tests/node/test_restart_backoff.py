"""A service that fails: back at once at first, later and later only while it keeps failing."""

from __future__ import annotations

from pathlib import Path

import pytest

from framelane.node.restart_backoff import RestartBackoff


class Unit:
    """Starts of a unit whose runtime directory is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now_s = 1000.0

    def start_and_fail_after(self, seconds: float) -> float:
        """The wait before the start."""
        wait_s = RestartBackoff(self.folder, lambda: self.now_s).begin()
        self.now_s += wait_s + seconds + 1.0  # RestartSec=
        return wait_s


@pytest.fixture
def unit(tmp_path: Path) -> Unit:
    return Unit(tmp_path)


def test_first_failures_cost_no_wait_and_more_in_a_row_do(unit: Unit) -> None:
    waits_s = [unit.start_and_fail_after(5.0) for _ in range(11)]
    assert waits_s == [0, 0, 2, 4, 8, 16, 32, 60, 60, 60, 60]


def test_daemon_that_has_run_for_a_while_is_back_at_once(unit: Unit) -> None:
    for _ in range(6):
        unit.start_and_fail_after(5.0)
    assert unit.start_and_fail_after(3600.0) > 0
    assert [unit.start_and_fail_after(3600.0) for _ in range(10)] == [0.0] * 10


def test_orderly_end_forgets_all_failures(unit: Unit) -> None:
    for _ in range(6):
        unit.start_and_fail_after(5.0)
    RestartBackoff(unit.folder, lambda: unit.now_s).end()
    assert unit.start_and_fail_after(5.0) == 0.0
    assert [path.name for path in unit.folder.iterdir()] == ["starts.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"at_s": "x", "quick": 1}', '{"at_s": 999.0}'])
def test_file_that_is_none_counts_as_no_failure(unit: Unit, text: str) -> None:
    (unit.folder / "starts.json").write_text(text)
    assert unit.start_and_fail_after(1.0) == 0.0


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"RUNTIME_DIRECTORY": "/run/x"},
        {"NOTIFY_SOCKET": "/run/n"},
        {"RUNTIME_DIRECTORY": "", "NOTIFY_SOCKET": "/n"},
    ],
)
def test_process_that_is_no_service_never_waits(environ: dict[str, str]) -> None:
    for _ in range(9):
        assert RestartBackoff.of(environ).begin() == 0.0


def test_folder_that_can_not_be_written_keeps_nobody_from_starting() -> None:
    backoff = RestartBackoff(Path("/proc/none"))
    assert backoff.begin() == 0.0
    backoff.end()
