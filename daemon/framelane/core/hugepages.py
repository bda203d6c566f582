"""Enables huge pages in the C library, which make CPU inference a few percent faster at the same memory.

Every frame touches megabytes of a model's activations. With 4 KiB pages a core caches the address
translations of only a few megabytes, and eight decoders compete for them. glibc reads the setting only when a
process starts (GNU libc manual, "Memory Allocation Tunables"), so the process starts itself again.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_KERNEL_POLICY = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_VARIABLE = "GLIBC_TUNABLES"
_TUNABLE = "glibc.malloc.hugetlb"


def use_huge_pages(
    environ: Mapping[str, str] = os.environ,
    policy_file: Path = _KERNEL_POLICY,
    execve: Callable[[str, list[str], dict[str, str]], object] = os.execve,
) -> None:
    """Start this process again with huge pages for its heap, if the kernel leaves the choice to the process.

    Do nothing if the user has set the tunable, to either value, or if the kernel's policy is fixed. Call it
    before any resource is opened; the process keeps its id.
    """
    tunables = _with_huge_pages(environ.get(_VARIABLE, ""), policy_file)
    if tunables is not None:
        # If exec is not permitted, the process goes on without huge pages.
        with contextlib.suppress(OSError):
            execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**environ, _VARIABLE: tunables})


def _with_huge_pages(tunables: str, policy_file: Path) -> str | None:
    """Return the tunables with huge pages enabled; None if nothing should change."""
    try:
        policy = policy_file.read_text(encoding="ascii")
    except OSError:
        return None
    if _TUNABLE in tunables or "[madvise]" not in policy:
        return None
    return ":".join(filter(None, [tunables, f"{_TUNABLE}=1"]))
