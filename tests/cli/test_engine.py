"""The commands `framelane engine`, as far as they go without a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest
from tests.models.engines.examples import PARTS, store
from typer.testing import CliRunner

from framelane.cli.engine_tables import ProgressBar, engines_at, show_verification
from framelane.cli.shared import cli
from framelane.core.errors import ModelError
from framelane.gpu.availability import why_absent
from framelane.measure.verify import Agreement, OutputError, Verification

if TYPE_CHECKING:
    from pathlib import Path

without_gpu = pytest.mark.skipif(why_absent() is None, reason="there is a GPU")


def test_inspect_prints_what_an_engine_is(tmp_path: Path) -> None:
    engine = store(tmp_path, PARTS)
    result = CliRunner().invoke(cli, ["engine", "inspect", str(engine.path), "--layers"])
    assert result.exit_code == 0
    for text in (
        PARTS.key,
        "NVIDIA H200",
        "8.5.3.1",
        "1:16:16",
        "416x416",
        "fp16",
        "images",
        "-1x3x416x416",
        "Conv_0",
    ):
        assert text in result.output


def test_inspect_counts_layers(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["engine", "inspect", str(store(tmp_path, PARTS).path)])
    assert "CaskConvolution" in result.output
    assert "Conv_0" not in result.output


def test_inspect_as_json_is_the_sidecar(tmp_path: Path) -> None:
    engine = store(tmp_path, PARTS)
    one = CliRunner().invoke(cli, ["engine", "inspect", str(engine.path), "--json"])
    every = CliRunner().invoke(cli, ["engine", "inspect", str(tmp_path), "--json"])
    expected = orjson.loads(engine.sidecar.dump()) | {"path": str(engine.path)}
    assert expected == orjson.loads(one.output)
    assert [expected] == orjson.loads(every.output)


def test_inspect_refuses_a_damaged_engine_and_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no engines"):
        engines_at(tmp_path)
    engine = store(tmp_path, PARTS)
    engine.path.write_bytes(b"other!")
    found, faults = engines_at(tmp_path)
    assert (found, len(faults)) == ([], 1)
    assert "is not the engine its sidecar describes" in str(faults[0])


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_inspect_shows_what_it_can_of_a_folder_and_names_the_rest(tmp_path: Path, options: list[str]) -> None:
    engine = store(tmp_path, PARTS)
    (tmp_path / "other-0123456789ab.engine").write_bytes(b"no sidecar")
    result = CliRunner().invoke(cli, ["engine", "inspect", str(tmp_path), *options])
    assert str(engine.path) in result.output.replace("\n", "")
    assert isinstance(result.exception, ModelError)
    assert "other-0123456789ab.engine" in str(result.exception)


@without_gpu
@pytest.mark.parametrize("command", [["build", "m.onnx"], ["verify", "m.onnx", "--images", "."]])
def test_without_a_gpu_one_sentence_says_why(command: list[str]) -> None:
    result = CliRunner().invoke(cli, ["engine", *command])
    assert isinstance(result.exception, ModelError)
    assert str(result.exception) == why_absent()
    assert result.exception.exit_code == 3


def test_a_comparison_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    found = Agreement(128, 630, 632, 0.998, 0.997, 0.981, 0.0014, 0.024)
    show_verification(Verification((OutputError("0", 1.1, 0.0005, 0.06),), found, 0.95))
    out = capsys.readouterr().out
    for text in ("630 / 632", "99.8%", "98.1%", "at least 95.0%", "0.0014 / 0.0240", "yes"):
        assert text in out


def test_the_bar_takes_a_builds_steps() -> None:
    bar = ProgressBar()
    bar("timing kernels", 3, 12)
    assert (bar.tasks[0].description, bar.tasks[0].completed, bar.tasks[0].total) == ("timing kernels", 3, 12)
