"""The rows of tables are what the kernels' C++ takes them for."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tests.gpu.shim.grid import KERNELS, SHIM, compiler

from framelane.inference.backends.cuda.copy_tables import COPIED_PLANE, LOOK, REDUCED_PLANE
from framelane.inference.backends.cuda.plane_table import PICTURE

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

ROWS = {
    ("picture.h", "Picture"): PICTURE,
    ("copies.h", "CopiedPlane"): COPIED_PLANE,
    ("copies.h", "ReducedPlane"): REDUCED_PLANE,
    ("copies.h", "Look"): LOOK,
}


def fields_of(dtype: np.dtype[np.void]) -> dict[str, Any]:
    return dict(dtype.fields or {})


def layout_in_c(folder: Path, header: str, struct: str, names: list[str]) -> dict[str, tuple[int, int]]:
    """Offset and size of each field, and of the whole as "all", as g++ lays it out."""
    prints = "".join(
        f'printf("{name} %zu %zu\\n", offsetof({struct}, {name}), sizeof({struct}::{name}));'
        for name in names
    )
    (folder / "layout.cpp").write_text(
        f'#include "{SHIM}"\n#include <cstddef>\n#include "{header}"\n'
        f'int main() {{ {prints} printf("all 0 %zu\\n", sizeof({struct})); }}\n'
    )
    subprocess.run(
        [compiler(), "-w", f"-I{KERNELS}", str(folder / "layout.cpp"), "-o", str(folder / "layout")],
        check=True,
    )
    said = subprocess.run([folder / "layout"], check=True, capture_output=True, text=True).stdout
    return {name: (int(at), int(size)) for name, at, size in map(str.split, said.splitlines())}


@pytest.mark.parametrize(("place", "row"), ROWS.items(), ids=[struct for _, struct in ROWS])
def test_row_equals_the_struct(place: tuple[str, str], row: np.dtype[np.void], tmp_path: Path) -> None:
    fields = fields_of(row)
    assert layout_in_c(tmp_path, *place, list(fields)) == {
        **{name: (at, dtype.itemsize) for name, (dtype, at) in fields.items()},
        "all": (0, row.itemsize),
    }


def test_row_has_no_hidden_padding_and_addresses_come_first() -> None:
    fields = fields_of(PICTURE)
    assert sum(dtype.itemsize for dtype, _ in fields.values()) == PICTURE.itemsize
    assert PICTURE.itemsize % 8 == 0
    assert fields["plane"][1] == 0
