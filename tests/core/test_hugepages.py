"""The process starts again for huge pages if that helps, and only once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from framelane.core.hugepages import use_huge_pages

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("policy", "tunables", "expected"),
    [
        pytest.param("always [madvise] never\n", None, "glibc.malloc.hugetlb=1", id="left to the process"),
        pytest.param(
            "always [madvise] never\n",
            "glibc.malloc.arena_max=2",
            "glibc.malloc.arena_max=2:glibc.malloc.hugetlb=1",
            id="other tunables stay",
        ),
        pytest.param("always [madvise] never\n", "glibc.malloc.hugetlb=0", None, id="the user said no"),
        pytest.param("always [madvise] never\n", "glibc.malloc.hugetlb=1", None, id="started again already"),
        pytest.param("[always] madvise never\n", None, None, id="always on"),
        pytest.param("always madvise [never]\n", None, None, id="never on"),
        pytest.param(None, None, None, id="no such kernel"),
    ],
)
def test_use_huge_pages_starts_again_when_it_helps(
    tmp_path: Path, policy: str | None, tunables: str | None, expected: str | None
) -> None:
    policy_file = tmp_path / "enabled"
    if policy is not None:
        policy_file.write_text(policy)
    environ = {"HOME": "/root"} | ({} if tunables is None else {"GLIBC_TUNABLES": tunables})
    started: list[tuple[str, list[str], dict[str, str]]] = []
    use_huge_pages(environ, policy_file, lambda *call: started.append(call))
    if expected is None:
        assert started == []
    else:
        program, arguments, given = started[0]
        assert (program, arguments) == (sys.executable, [sys.executable, *sys.orig_argv[1:]])
        assert given == environ | {"GLIBC_TUNABLES": expected}


def test_use_huge_pages_goes_on_as_it_is_when_it_may_not_start_again(tmp_path: Path) -> None:
    policy_file = tmp_path / "enabled"
    policy_file.write_text("always [madvise] never\n")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    use_huge_pages({}, policy_file, refuse)
