"""The command line: what each command prints, and the exit code and exact message of every kind of bad input."""

# ruff: noqa: E501 - a table of messages reads best with each message whole

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import structlog
from tests.models import tiny_models
from tests.models.batch_models import reshaped, save_batches
from tests.neighbours.clips import ClipShape, draw_clip

from framelane import __version__
from framelane.cli import main
from framelane.gpu.availability import why_absent
from framelane.messages import schemas

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Cli = Callable[..., tuple[int, str, str]]

ROOT = Path(__file__).parents[2]
BOX = tiny_models.Box((16.0, 16.0, 64.0, 96.0), class_id=0, score=0.9)
GOOD = """
jsonl: {path: "-"}
models: {tiny: {path: tiny.onnx, size: [160, 128]}}
streams:
  - {id: lobby, url: clip.mp4}
"""


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], base: Path) -> Iterator[Cli]:
    """Runs the command in this process, in the folder of `base`; gives exit code, output and error output."""
    monkeypatch.chdir(base)
    monkeypatch.setattr("sys.excepthook", sys.excepthook)
    monkeypatch.setattr("threading.excepthook", None)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["framelane", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), out, err

    yield run
    structlog.reset_defaults()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A good configuration with its model, and bad models beside it."""
    outputs = [np.asarray(tiny_models.yolov8([BOX]))]
    tiny_models.save(tmp_path / "tiny.onnx", outputs, metadata=tiny_models.NAMES)
    tiny_models.save(tmp_path / "odd.onnx", [np.zeros((1, 7, 3, 5), np.float32)])
    (tmp_path / "text.onnx").write_text("this is no model\n" * 10)
    (tmp_path / "empty.onnx").touch()
    draw_clip(tmp_path, "h264", ClipShape(160, 128, 5)).rename(tmp_path / "clip.mp4")
    (tmp_path / "good.yaml").write_text(GOOD)
    return tmp_path


BAD_CONFIGS = {
    "no file": (None, "can't read bad.yaml: No such file or directory", 0),
    "empty": ("", "the file is empty; begin with `streams:`, `models:` and `mqtt:`", 0),
    "malformed": ("streams: [1, 2", "expected `,` or `]` to continue or end the list (column 15)", 1),
    "wrong type": (GOOD.replace("clip.mp4}", "clip.mp4, fps: fast}"), "streams[0].fps: expected a number above 0 and at most 1000, or null; got `fast`", 5),
    "unknown key": (GOOD.replace("url:", "ulr:"), "streams[0].ulr: unknown key `ulr`; did you mean `url`?", 5),
    "missing model": (GOOD.replace("tiny.onnx", "none.onnx"), "models.tiny.path: there is no such file: {base}/none.onnx", 3),
    "duplicate ids": (GOOD + "  - {id: lobby, url: clip.mp4}\n", "streams[1].id: `lobby` is already the id of streams[0]", 6),
    "unknown label": (GOOD.replace("clip.mp4}", "clip.mp4, classes: [elephant]}"), "streams[0].classes[0]: unknown label `elephant`; tiny knows person, bicycle and car", 5),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message", "line"), BAD_CONFIGS.values(), ids=BAD_CONFIGS.keys())
def test_cli_exits_2_and_names_the_place_when_the_configuration_is_bad(
    cli: Cli, base: Path, text: str | None, message: str, line: int
) -> None:
    if text is not None:
        (base / "bad.yaml").write_text(text)
    message = message.format(base=base)
    code, out, err = cli("run", "bad.yaml")
    place = f"bad.yaml:{line}" if line else "bad.yaml"
    assert (code, out, told(err)) == (2, "", f"{place}: {message}\n")
    assert cli("check", "bad.yaml") == (2, "", f"{place}: {message}\n")


BAD_MODELS = {
    "text.onnx": "{base}/text.onnx is not an ONNX model, or is cut short; export or copy it again",
    "empty.onnx": "{base}/empty.onnx is not an ONNX model, or is cut short; export or copy it again",
    "odd.onnx": "{base}/odd.onnx gives output0 [1, 7, 3, 5] for a 160x128 picture, which fits no head that Framelane knows: ",
}  # fmt: skip


@pytest.mark.parametrize(("name", "message"), BAD_MODELS.items(), ids=BAD_MODELS.keys())
def test_cli_run_exits_3_and_check_exits_2_when_a_model_is_unusable(
    cli: Cli, base: Path, name: str, message: str
) -> None:
    (base / "bad.yaml").write_text(GOOD.replace("tiny.onnx", name))
    message = message.format(base=base)
    code, out, err = cli("run", "bad.yaml")
    assert (code, out) == (3, "")
    assert told(err).startswith(f"framelane: {message}")
    code, out, err = cli("check", "bad.yaml")
    assert (code, out) == (2, "")
    assert err.startswith(f"bad.yaml:3: models.tiny.path: {message}")


def test_check_warns_of_a_model_that_may_find_nothing(cli: Cli, base: Path) -> None:
    output = tiny_models.yolov8([BOX])
    output[:, 4:] = 0
    tiny_models.save(base / "tiny.onnx", [output], metadata=tiny_models.NAMES)
    code, out, err = cli("check", "good.yaml")
    assert (code, out) == (0, "good.yaml: ok\n")
    assert err.startswith("warning: good.yaml:3: models.tiny.path: all scores in output0 [1, 7, 420] are 0")


def test_run_exits_3_if_a_batch_gives_fewer_rows_than_it_has_pictures(cli: Cli, base: Path) -> None:
    save_batches(base / "tiny.onnx", reshaped(1, 300, -1), tiny_models.end2end([BOX]))
    (base / "bad.yaml").write_text(GOOD.replace("size:", "batch: 2, size:"))
    code, out, err = cli("run", "bad.yaml")
    assert (code, out) == (3, "")
    assert told(err) == (
        f"framelane: {base}/tiny.onnx: y [1, 300, 6] becomes [1, 300, 12] for 2 pictures, not one row for each; "
        "set `batch: 1`, or export the model with a dynamic batch\n"
    )


def told(err: str) -> str:
    """What is meant for the operator; the log stands before it."""
    return "".join(line for line in err.splitlines(keepends=True) if not line.startswith("{"))


def test_check_reports_every_finding_at_once_in_the_order_of_the_file(cli: Cli, base: Path) -> None:
    (base / "bad.yaml").write_text(GOOD.replace("size", "sise").replace("clip.mp4}", "clip.mp4, skip: all}"))
    _, _, err = cli("check", "bad.yaml")
    assert [line.partition(": ")[0] for line in err.splitlines()] == ["bad.yaml:3", "bad.yaml:5"]


def test_check_reports_configuration_models_labels_and_warnings_in_one_pass(cli: Cli, base: Path) -> None:
    (base / "streams.d").mkdir()
    (base / "streams.d/a.yaml").write_text("- [1, 2")
    (base / "streams.d/b.yaml").write_text("{id: b, url: gone.mp4, fps: fast, model: tiny}")
    (base / "bad.yaml").write_text("""
log: {level: loud}
jsonl: {path: "-"}
http: {listen: "0.0.0.0:80", token: [x], cert_file: no.pem, key_file: tiny.onnx}
models:
  tiny: {path: tiny.onnx, size: [160, 128], batch: -1}
  broken: {path: text.onnx, backend: tensorrt}
  unclear: {path: tiny.onnx, sise: [160, 128]}
defaults: {model: tiny, classes: [persn]}
streams_dir: streams.d
streams:
  - {id: lobby, url: clip.mp4}
  - {id: gate, url: clip.mp4, classes: [elephant, car]}
  - {id: yard, url: "rstp://10.0.0.7", model: unclear, classes: [anything]}
""")
    code, out, err = cli("check", "bad.yaml")
    lines = err.replace(f"{base}/", "").splitlines()
    warnings = [line.removeprefix("warning: ") for line in lines if line.startswith("warning: ")]
    assert (code, out) == (2, "")
    assert [line for line in lines if not line.startswith("warning: ")] == [
        "bad.yaml:2: log.level: expected `debug`, `info`, `warning` or `error`; got `loud`",
        "bad.yaml:4: http.token: expected text or null; got a list of 1",
        "bad.yaml:4: http.cert_file: there is no such file: no.pem",
        "bad.yaml:6: models.tiny.batch: expected a whole number from 0 to 256; got `-1`",
        f"bad.yaml:7: models.broken.path: {BAD_MODELS['text.onnx'].format(base=base)}".replace(
            f"{base}/", ""
        ),
        "bad.yaml:8: models.unclear.sise: unknown key `sise`; did you mean `size`?",
        "bad.yaml:9: defaults.classes[0]: unknown label `persn`; did you mean `person`?",
        "bad.yaml:13: streams[1].classes[0]: unknown label `elephant`; tiny knows person, bicycle and car",
        "bad.yaml:14: streams[2].url: unsupported scheme `rstp`; did you mean `rtsp`?",
        "streams.d/a.yaml:1: expected `,` or `]` to continue or end the list (column 8)",
        "streams.d/b.yaml:1: fps: expected a number above 0 and at most 1000, or null; got `fast`",
    ]
    assert [line.partition(": not on this host")[0] for line in warnings] == [
        *(["bad.yaml:7: models.broken.backend"] if why_absent() else []),
        "bad.yaml:13: streams[1].url: the same URL as streams[0]: the camera is opened and decoded twice",
        "streams.d/b.yaml:1: url: there is no such file or folder (yet): gone.mp4",
    ]


def test_check_names_a_label_once_when_many_streams_inherit_it(cli: Cli, base: Path) -> None:
    streams = "".join(f"  - {{id: s{number}, url: clip.mp4, enabled: false}}\n" for number in range(3))
    (base / "bad.yaml").write_text(f"{GOOD}{streams}defaults: {{confidence: {{elephant: 0.5}}}}\n")
    assert cli("check", "bad.yaml") == (
        2,
        "",
        "bad.yaml:9: defaults.confidence.elephant: unknown label `elephant`; tiny knows person, bicycle and car\n",
    )


def test_check_says_ok_when_all_is_well(cli: Cli) -> None:
    assert cli("check", "good.yaml") == (0, "good.yaml: ok\n", "")


def test_check_warns_and_says_ok_when_a_file_is_not_there_yet(cli: Cli, base: Path) -> None:
    (base / "clip.mp4").unlink()
    code, out, err = cli("check", "good.yaml")
    assert (code, out) == (0, "good.yaml: ok\n")
    assert err.startswith("warning: good.yaml:5: streams[0].url: there is no such file or folder (yet)")


def test_schema_prints_a_json_schema(cli: Cli) -> None:
    code, out, _ = cli("schema")
    assert code == 0
    assert {"node", "mqtt", "models", "streams"} <= json.loads(out)["properties"].keys()


@pytest.mark.parametrize("what", ["asyncapi", *schemas.NAMES])
def test_schema_prints_what_consumers_build_on(cli: Cli, what: str) -> None:
    code, out, _ = cli("schema", what)
    assert (code, json.loads(out)) == (0, schemas.load(what))


def test_version_is_the_packages(cli: Cli) -> None:
    assert cli("--version")[:2] == (0, f"framelane {__version__}\n")


def test_probe_says_what_is_in_a_file(cli: Cli, base: Path) -> None:
    code, out, _ = cli("probe", str(base / "clip.mp4"), "--json")
    report = json.loads(out)
    assert code == 0
    assert (report["codec"], report["width"], report["height"], report["frames"]) == ("h264", 160, 128, 5)
    assert (report["clock"], report["declared_fps"], report["undecodable"]) == ("media", 25.0, 0)
    assert cli("probe", str(base / "clip.mp4"))[1].splitlines()[0].split() == ["codec", "h264"]


def test_probe_exits_1_and_keeps_the_password_when_nothing_is_there(cli: Cli) -> None:
    code, out, err = cli("probe", "rtsp://user:secret-4711@127.0.0.1:1/x")
    expected = "framelane: nothing listens at this address; check host and port (Connection refused)\n"
    assert (code, out, err) == (1, "", expected)


@pytest.mark.parametrize(
    "arguments", [["flie"], ["run"], ["probe", "x", "--seconds", "0"], ["demo", "--streams", "0"]]
)
def test_cli_exits_2_when_the_command_line_is_wrong(cli: Cli, arguments: list[str]) -> None:
    code, out, err = cli(*arguments)
    assert (code, out) == (2, "")
    assert "Usage: " in err


def test_demo_says_what_to_install_when_its_broker_is_missing(tmp_path: Path) -> None:
    (tmp_path / "iotcore.py").write_text("raise ImportError('hidden')\n")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
        "XDG_CACHE_HOME": str(tmp_path),
    }
    command = [sys.executable, "-m", "framelane", "demo", "--streams", "1"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    expected = "framelane: the demo needs the package iotcore: pip install 'framelane[demo]'\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", expected)


def test_exit_code_and_message_leave_the_process(base: Path) -> None:
    (base / "bad.yaml").write_text(GOOD.replace("tiny.onnx", "text.onnx"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "framelane", "run", str(base / "bad.yaml")]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert told(ended.stderr) == f"framelane: {BAD_MODELS['text.onnx'].format(base=base)}\n"
