"""Child processes of benchmarks."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import pytest

from framelane.measure.errors import BenchError
from framelane.measure.process import Child, in_child, peak_rss_mb, usage_of

if TYPE_CHECKING:
    from pathlib import Path

ECHO = "import sys\nprint('ready', flush=True)\nfor line in sys.stdin: print(line.strip()[::-1], flush=True)"
FAIL = "import sys; sys.exit('no such luck')"


def python(folder: Path, code: str) -> Child:
    return Child("child", [sys.executable, "-c", code], folder)


def test_child_answers_and_ends(tmp_path: Path) -> None:
    with python(tmp_path, ECHO) as child:
        assert child.read_line(10) == "ready"
        assert child.ask("abc") == "cba"
        assert child.usage().rss_mb > 1
        assert child.stop() == -15

    assert not child.alive


def test_child_says_why_it_ended(tmp_path: Path) -> None:
    with python(tmp_path, FAIL) as child, pytest.raises(BenchError) as error:
        child.read_line(10)

    assert str(error.value) == "child has ended with exit code 1\n  no such luck"


def test_child_that_says_nothing_is_an_error(tmp_path: Path) -> None:
    with (
        python(tmp_path, "import time; time.sleep(60)") as child,
        pytest.raises(BenchError, match=r"says nothing for 0\.1 s"),
    ):
        child.read_line(0.1)


def test_late_answer_is_not_taken_for_that_to_the_next_question(tmp_path: Path) -> None:
    code = (
        "import sys, time; [(time.sleep(float(line)), print(line.strip(), flush=True)) for line in sys.stdin]"
    )
    with python(tmp_path, code) as child:
        with pytest.raises(BenchError, match="says nothing"):
            child.ask("0.5", timeout_s=0.1)
        assert child.ask("0.01") == "0.01"
        assert child.ask("0.02") == "0.02"


def test_usage_is_that_of_the_process() -> None:
    usage = usage_of(os.getpid())

    assert usage.cpu_s > 0
    assert usage.threads >= 1
    assert peak_rss_mb(os.getpid()) >= usage.rss_mb * 0.9


def test_usage_of_a_process_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with python(tmp_path, ECHO) as child:
        pid = child.pid

    with pytest.raises(BenchError, match="has ended while it was measured"):
        usage_of(pid)


def test_in_child_runs_elsewhere() -> None:
    assert os.getpid() != in_child(os.getpid)


def test_usage_counts_children(tmp_path: Path) -> None:
    nap = "import subprocess, sys; print('up', flush=True); subprocess.run([sys.executable, '-c', 'input()'])"
    with python(tmp_path, nap) as child:
        child.read_line(10)
        deadline_s = time.monotonic() + 10
        while child.usage().threads < 2 and time.monotonic() < deadline_s:
            time.sleep(0.02)

        assert child.usage().threads == 2
        # One Python alone takes some 10 MB.
        assert peak_rss_mb(child.pid) > 14
