"""A slot's runner on a GPU that is not there, and the machines on which kernels run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.gpu.machines import GpuMachine, ShimMachine
from tests.inference.backends.cuda import fake_gpu

from framelane.gpu.availability import why_absent
from framelane.inference.backends.cuda import runner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.gpu.machines import Machine

MACHINES = [pytest.param("shim")]
if why_absent() is None:
    MACHINES.append(pytest.param("gpu", marks=pytest.mark.gpu))


@pytest.fixture(scope="module", params=MACHINES)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """Where the kernels of box decoding and suppression run."""
    if request.param == "shim":
        yield ShimMachine("decode.cu", "suppress.cu", "gather.cu", "masks.cu")
        return
    with GpuMachine() as gpu:
        yield gpu


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> fake_gpu.Journal:
    """The fakes in place of `gpu/`, the picture table included."""
    journal = fake_gpu.install(monkeypatch)
    monkeypatch.setattr(runner, "ImageTable", lambda spec, batch: fake_gpu.FakeTable(journal, spec, batch))
    return journal
