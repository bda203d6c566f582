"""Models by name: each is a file of the package, which the daemon's own check accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from framelane.cli.check_report import check_all
from framelane.config.built_in_models import BUILT_IN_MODELS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", BUILT_IN_MODELS)
def test_a_configuration_with_a_built_in_model_passes_every_check(tmp_path: Path, name: str) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(
        f"jsonl: {{path: '-'}}\nmodels: {{m: {{path: {name}}}}}\nstreams: [{{id: a, url: 'rtsp://h'}}]\n"
    )
    assert check_all(file, {}) == ([], [])
    (tmp_path / name).touch()
    _, warnings = check_all(file, {})
    assert [str(each) for each in warnings] == [
        f"models.m.path: is the model that comes with Framelane; write `./{name}` for the file here"
    ]
