"""A slot's runner on a GPU that is not there."""

from __future__ import annotations

import pytest
from tests.inference.cuda import fake_gpu

from framelane.inference.cuda import runner


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> fake_gpu.Journal:
    """The fakes in place of `gpu/`, the picture table included."""
    journal = fake_gpu.install(monkeypatch)
    monkeypatch.setattr(runner, "PictureTable", lambda spec, batch: fake_gpu.FakeTable(journal, spec, batch))
    return journal
