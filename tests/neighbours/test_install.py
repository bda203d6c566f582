"""scripts/install_test_neighbours.sh on a host that has nothing yet."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = "scripts/install_test_neighbours.sh"


def test_every_program_that_a_test_says_is_installed_is_asked_for(tmp_path: Path) -> None:
    """Without apt-get, the script names the packages to install by hand."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / SCRIPT, tmp_path / SCRIPT)
    (tmp_path / "bin").mkdir()
    dirname, bash = shutil.which("dirname"), shutil.which("bash")
    assert dirname is not None
    assert bash is not None
    (tmp_path / "bin/dirname").symlink_to(dirname)
    done = subprocess.run(
        [bash, tmp_path / SCRIPT],
        env={"PATH": str(tmp_path / "bin")},
        capture_output=True,
        text=True,
        check=True,
    )
    named = re.search(r"no apt-get here; install by hand: (.*)", done.stderr)
    assert named is not None, done.stderr
    # gst-launch-1.0 comes with the tools, which the RTSP server's package does not need.
    assert {"chromium", "gstreamer1.0-tools"} <= set(named[1].split())
