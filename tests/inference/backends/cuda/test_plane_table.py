"""The table's rows are what the kernels' C++ takes them for."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tests.gpu.shim.grid import KERNELS, compiler

from framelane.inference.backends.cuda.plane_table import PICTURE

if TYPE_CHECKING:
    from pathlib import Path

FIELDS: dict[str, Any] = dict(PICTURE.fields or {})


@pytest.fixture(scope="module")
def layout_in_c(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, int]]:
    """Offset and size of each field, and of the whole as "", as g++ lays it out."""
    folder: Path = tmp_path_factory.mktemp("picture")
    prints = "".join(
        f'printf("{name} %zu %zu\\n", offsetof(Picture, {name}), sizeof(Picture::{name}));' for name in FIELDS
    )
    (folder / "layout.cpp").write_text(
        f'#include <cstddef>\n#include <cstdio>\n#include "picture.h"\n'
        f'int main() {{ {prints} printf("all 0 %zu\\n", sizeof(Picture)); }}\n'
    )
    subprocess.run(
        [compiler(), f"-I{KERNELS}", str(folder / "layout.cpp"), "-o", str(folder / "layout")], check=True
    )
    said = subprocess.run([folder / "layout"], check=True, capture_output=True, text=True).stdout
    return {name: (int(at), int(size)) for name, at, size in map(str.split, said.splitlines())}


def test_row_equals_the_struct(layout_in_c: dict[str, tuple[int, int]]) -> None:
    assert layout_in_c == {
        **{name: (at, dtype.itemsize) for name, (dtype, at) in FIELDS.items()},
        "all": (0, PICTURE.itemsize),
    }


def test_row_has_no_hidden_padding_and_addresses_come_first() -> None:
    assert sum(dtype.itemsize for dtype, _ in FIELDS.values()) == PICTURE.itemsize
    assert PICTURE.itemsize % 8 == 0
    assert FIELDS["plane"][1] == 0
