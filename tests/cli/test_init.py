"""`framelane init`: files from options and from answers, what it refuses, and that no secret is written."""

# ruff: noqa: E501 - a table of messages reads best with each message whole

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.models import tiny_models

from framelane.config.yaml.load import load_config

if TYPE_CHECKING:
    from pathlib import Path

CTRL_D = "\x04"
CAMERA = "rtsp://admin:hunter-4711@127.0.0.1/1"


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **more}


def framelane(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "framelane", *arguments],
        cwd=folder, env=environment(**variables), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


def answered(folder: Path, answers: list[str], *arguments: str) -> tuple[int, str]:
    """Run `framelane init` on a terminal; what it shows, and its exit code."""
    main, other = pty.openpty()
    command = [sys.executable, "-m", "framelane", "init", *arguments]
    with subprocess.Popen(
        command, cwd=folder, env=environment(), stdin=other, stdout=other, stderr=other
    ) as running:
        os.close(other)
        os.write(main, "".join(f"{answer}\n" for answer in answers).encode())
        shown = b""
        while True:
            try:
                chunk = os.read(main, 4096)
            except OSError:
                break
            shown += chunk
        code = running.wait(60)
    os.close(main)
    return code, shown.decode()


def save_model(folder: Path, name: str = "mine.onnx", *, named: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    box = tiny_models.Box((16.0, 16.0, 64.0, 96.0), class_id=0, score=0.9)
    metadata = tiny_models.NAMES if named else {}
    return tiny_models.save(folder / name, [tiny_models.yolov8([box])], metadata=metadata)


def test_the_file_passes_the_check_once_its_secrets_are_set(tmp_path: Path) -> None:
    broker = "mqtts://site:broker%2Fpass@broker.example"
    urls = ["--url", CAMERA, "--url", "rtsp://10.0.0.8/2", "--id", "lobby"]
    ended = framelane(tmp_path, "init", "site.yaml", "--demo-model", *urls, "--broker", broker)
    assert (ended.returncode, ended.stderr) == (0, "")
    text = (tmp_path / "site.yaml").read_text()
    for secret in ("hunter-4711", "broker%2Fpass", "broker/pass"):
        assert secret not in text + ended.stdout
    assert "read -rs LOBBY_PW && export LOBBY_PW   # the password of stream `lobby`" in ended.stdout
    secrets = {"LOBBY_PW": "hunter-4711", "MQTT_PW": "broker/pass"}
    checked = framelane(tmp_path, "check", "site.yaml", **secrets)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "site.yaml: ok\n", "")
    config = load_config(tmp_path / "site.yaml", secrets)
    assert config.mqtt is not None
    assert config.mqtt.password is not None
    assert config.mqtt.password.get_secret_value() == "broker/pass"
    assert [(stream.id, stream.url.get_secret_value()) for stream in config.streams] == [
        ("lobby", CAMERA),
        ("cam2", "rtsp://10.0.0.8/2"),
    ]


def test_one_camera_and_the_demo_model_are_enough(tmp_path: Path) -> None:
    ended = framelane(tmp_path, "init", "--demo-model", "--url", "rtsp://10.0.0.7/1")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == (
        "framelane.yaml: written, and it passes the check\nNext: framelane run framelane.yaml\n"
    )
    assert framelane(tmp_path, "check", "framelane.yaml").returncode == 0


def test_paths_are_written_as_seen_from_the_file(tmp_path: Path) -> None:
    save_model(tmp_path / "etc" / "models")
    save_model(tmp_path / "elsewhere", "other.onnx")
    (tmp_path / "etc" / "clip.mp4").touch()
    (tmp_path / "etc" / "demo").write_bytes((tmp_path / "elsewhere" / "other.onnx").read_bytes())
    expected = {
        "etc/models/mine.onnx": ("mine", "models/mine.onnx"),
        "elsewhere/other.onnx": ("other", f"{tmp_path}/elsewhere/other.onnx"),
        "etc/demo": ("demo", "./demo"),
    }
    for model, (name, path) in expected.items():
        ended = framelane(
            tmp_path, "init", "etc/site.yaml", "--force", "--model", model, "--url", "etc/clip.mp4",
            "--broker", "none",
        )  # fmt: skip
        assert (ended.returncode, ended.stderr) == (0, "")
        text = (tmp_path / "etc" / "site.yaml").read_text()
        assert f'  {name}:\n    path: "{path}"\n' in text
        assert 'url: "clip.mp4"' in text
        assert 'jsonl:\n  path: "-"\n' in text


def test_a_fetched_model_is_used_by_its_name(tmp_path: Path) -> None:
    ended = framelane(tmp_path, "init", "--model", "yolox-s", "--url", "rtsp://10.0.0.7/1")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "framelane: --model: yolox-s is not fetched yet; "
        "run `framelane model fetch yolox-s --folder models`\n"
    )
    # A file of that name whose classes are not COCO's: the catalog's settings are in force.
    save_model(tmp_path / "models", "yolox_s.onnx")
    ended = framelane(tmp_path, "init", "--model", "yolox-s", "--url", "rtsp://10.0.0.7/1")
    assert ended.returncode == 2
    assert "has 3 classes, but `labels: coco` names 80" in ended.stderr
    assert not (tmp_path / "framelane.yaml").exists()


def test_labels_are_given_if_the_model_lacks_them(tmp_path: Path) -> None:
    save_model(tmp_path, named=False)
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    options = ["--model", "mine.onnx", "--url", "rtsp://10.0.0.7/1"]
    ended = framelane(tmp_path, "init", *options)
    assert ended.returncode == 2
    assert "doesn't name its 3 classes" in ended.stderr
    ended = framelane(tmp_path, "init", *options, "--labels", "names.txt")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_existing_file_is_replaced_only_by_force(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("mine\n")
    options = ["init", "site.yaml", "--demo-model", "--url", "rtsp://10.0.0.7/1"]
    ended = framelane(tmp_path, *options)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "framelane: site.yaml exists; choose another name, or replace it with --force\n"
    assert (tmp_path / "site.yaml").read_text() == "mine\n"
    assert framelane(tmp_path, *options, "--force").returncode == 0
    assert "path: demo" in (tmp_path / "site.yaml").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["site.yaml"]


REFUSALS = [
    (["--demo-model"], "framelane: --url missing, and there is no terminal to ask on\n"),
    ([], "framelane: --url and --model missing, and there is no terminal to ask on\n"),
    (["--url", "rtsp://h/1", "--demo-model", "--model", "demo"],
     "framelane: both --model and --demo-model are given; keep one\n"),
    (["--url", "rstp://h/1", "--demo-model"],
     "framelane: the URL of cam1: unsupported scheme `rstp`; did you mean `rtsp`?\n"),
    (["--url", "rtsp://admin:pa/ss@h/1", "--demo-model"],
     "framelane: the URL of cam1: the port is not a number from 1 to 65535; percent-encode `/ ? # @ [ ]` in a password\n"),
    (["--url", "rtsp://h/1", "--demo-model", "--broker", "http://h"],
     "framelane: --broker: unsupported scheme `http`; expected mqtt or mqtts\n"),
    (["--url", "rtsp://h/1", "--model", "none.onnx"],
     "framelane: --model: there is no such file: none.onnx; models by name are demo, yolox-nano, yolox-tiny, yolox-s, rf-detr-nano, d-fine-n, d-fine-s, d-fine-m\n"),
    (["--url", "rtsp://h/1", "--id", "a", "--id", "b", "--demo-model"],
     "framelane: 2 --id are given for 1 --url; give each camera one at most\n"),
    (["--url", "rtsp://h/1", "--id", "a b", "--demo-model"],
     "framelane: framelane.yaml is not written, because it would not pass the check:\nstreams[0].id: expected a name of 1 to 64 letters, digits, `.`, `_` or `-`, the first a letter or a digit; got `a b`\n"),
    (["--url", "rtsp://h/1", "--url", "rtsp://h/2", "--id", "a", "--id", "a", "--demo-model"],
     "framelane: framelane.yaml is not written, because it would not pass the check:\nstreams[1].id: `a` is already the id of streams[0]\n"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "message"), REFUSALS)
def test_what_cannot_become_a_file_is_refused_with_one_sentence(
    tmp_path: Path, options: list[str], message: str
) -> None:
    ended = framelane(tmp_path, "init", *options)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", message)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    ended = framelane(tmp_path, "init", "none/site.yaml", "--demo-model", "--url", "rtsp://h/1")
    assert (ended.returncode, ended.stderr) == (
        2, "framelane: can't write none/site.yaml: No such file or directory\n",
    )  # fmt: skip


def test_answers_on_a_terminal_make_a_file(tmp_path: Path) -> None:
    answers = ["rstp://h/1", CAMERA, "gate", "rtsp://10.0.0.8/2", "", "", "demo", "http://h", "none"]
    code, shown = answered(tmp_path, answers)
    assert code == 0, shown
    assert "unsupported scheme `rstp`; did you mean `rtsp`?" in shown
    assert "unsupported scheme `http`; expected mqtt or mqtts" in shown
    assert "models by name: demo, yolox-nano, yolox-tiny, yolox-s, rf-detr-nano, d-fine-n" in shown
    config = load_config(tmp_path / "framelane.yaml", {"GATE_PW": "hunter-4711"})
    assert [(stream.id, stream.url.get_secret_value()) for stream in config.streams] == [
        ("gate", CAMERA),
        ("cam2", "rtsp://10.0.0.8/2"),
    ]
    assert (config.mqtt, config.jsonl is not None) == (None, True)


def test_only_what_is_missing_is_asked(tmp_path: Path) -> None:
    code, shown = answered(tmp_path, ["", ""], "--url", "rtsp://h/1")
    assert code == 0, shown
    assert "camera (" not in shown
    config = load_config(tmp_path / "framelane.yaml", {})
    assert config.mqtt is not None
    assert config.mqtt.url == "mqtt://127.0.0.1:1883"


def test_the_end_of_the_answers_leaves_nothing(tmp_path: Path) -> None:
    code, shown = answered(tmp_path, ["rtsp://h/1", CTRL_D])
    assert code != 0
    assert "Aborted" in shown
    assert list(tmp_path.iterdir()) == []
