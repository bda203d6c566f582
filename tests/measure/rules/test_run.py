"""The whole of `framelane rules test`, on a street with its truth, and on what can't be tested."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from tests.neighbours.clips import ClipShape, draw_clip

from framelane.cli import main
from framelane.demo.clips import write_clip
from framelane.demo.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from framelane.demo.clips import ClipTruth

    Cli = Callable[..., tuple[int, str, str]]

CONFIG = """
jsonl: {{path: "{folder}/out.jsonl"}}
models:
  street: {{path: "{model}"}}
streams:
  - id: gate
    url: street.mp4
    track: true
    fps: 5
    lines: {{across: {{points: [[0.5, 0], [0.5, 1]]}}}}
    zones: {{all: {{polygon: [[0, 0], [1, 0], [1, 1], [0, 1]]}}}}
  - {{id: plain, url: street.mp4}}
  - {{id: camera, url: "rtsp://127.0.0.1/x", track: true, lines: {{a: {{points: [[0, 0], [1, 1]]}}}}}}
  - {{id: keys, url: street.mp4, skip: nonkey, track: true, lines: {{a: {{points: [[0, 0], [1, 1]]}}}}}}
  - {{id: wrong, url: street.mp4, track: true, classes: [zebra], lines: {{a: {{points: [[0, 0], [1, 1]]}}}}}}
"""
MOT_CLASSES = {0: 1, 1: 3, 2: 4}


def mot_lines(truth: ClipTruth) -> str:
    """The truth of a street in MOTChallenge's format; what is too small or hidden is not considered."""
    lines = []
    for number, frame in enumerate(truth.frames, start=1):
        rows = zip(frame.actor, frame.xyxy, frame.class_id, frame.ignore, strict=True)
        for actor, (left, top, right, bottom), kind, ignored in rows:
            sizes = f"{left},{top},{right - left},{bottom - top}"
            lines.append(f"{number},{actor},{sizes},{int(not ignored)},{MOT_CLASSES[int(kind)]},1\n")
    return "".join(lines)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rules")
    truth = write_clip(folder / "street.mp4", Scene(37, (320, 240), fps=10.0), seconds=6.0)
    (folder / "gt.txt").write_text(mot_lines(truth))
    (folder / "bad.txt").write_text("1,2,3\n")
    (folder / "zebras.txt").write_text("1,2,0,0,5,5,1,5,1\n")
    (folder / "text.mp4").write_text("this is no video")
    model = files("framelane.demo") / "assets" / "framelane-demo.onnx"
    (folder / "site.yaml").write_text(CONFIG.format(folder=folder, model=model))
    text = CONFIG.format(folder=folder, model="broken.onnx")
    (folder / "broken.onnx").write_text("this is no model\n" * 10)
    (folder / "broken.yaml").write_text(text)
    return folder


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path) -> Iterator[Cli]:
    """Runs `framelane rules test site.yaml` with more options; gives exit code, output and error output."""
    monkeypatch.chdir(folder)

    def run(*arguments: str, config: str = "site.yaml") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["framelane", "rules", "test", config, *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), *capsys.readouterr()

    yield run
    structlog.reset_defaults()


def test_two_runs_are_equal_to_the_last_bit_and_count_near_the_truth(cli: Cli, folder: Path) -> None:
    options = "--stream", "gate", "--truth", "gt.txt", "--json", "--png"
    first, second = (cli(*options, str(folder / name)) for name in ("a.png", "b.png"))
    assert (first[0], first[1]) == (0, second[1])
    assert (folder / "a.png").read_bytes() == (folder / "b.png").read_bytes()
    found: dict[str, Any] = json.loads(first[1])
    assert (found["frames"], found["inferred"]) == (60, 30)
    assert found["seconds"] == pytest.approx(5.9)
    counts = {(each["rule"], each["what"]): each for each in found["counts"]}
    assert set(counts) == {("across", "left"), ("across", "right"), ("all", "zone_enter")}
    assert sum(each["true"] for each in counts.values()) > 0
    assert all(each["error"] == each["count"] - each["true"] for each in counts.values())
    assert sum(abs(each["error"]) for each in counts.values()) <= 6
    assert found["hota"]["car"]["hota"] > 0.4
    # Each object that begins also ends.
    kinds = [each["kind"] for each in found["events"]]
    assert kinds.count("new") == kinds.count("end") > 0
    assert kinds.count("zone_enter") == kinds.count("zone_exit") == counts["all", "zone_enter"]["count"]
    assert "60 frames, 5.9 s, in " in first[2]


def test_events_are_a_table_and_the_clip_may_be_another_one(cli: Cli, folder: Path) -> None:
    plain = draw_clip(folder, "h264", ClipShape(160, 128, 5))
    code, out, _ = cli("--stream", "camera", "--clip", str(plain))
    assert (code, out.split()[:1]) == (0, ["Counts"])
    _, out, _ = cli("--stream", "gate")
    heading, first = out.splitlines()[:2]
    assert heading.split() == ["time", "kind", "rule", "direction", "object", "label", "dwell"]
    assert first.split()[:2] == ["0:00.00", "new"]


BAD = {
    "no such stream": (
        ["--stream", "gte"],
        2,
        "the configuration has no stream `gte`; its streams: gate, plain, camera, keys, wrong",
    ),
    "no rules": (
        ["--stream", "plain"],
        2,
        "stream `plain` has no rules; give it `lines` or `zones` and `track: true`",
    ),
    "a camera": (
        ["--stream", "camera"],
        2,
        "stream `camera` is a camera; name a recording of it with --clip",
    ),
    "no clip": (
        ["--stream", "gate", "--clip", "none.mp4"],
        2,
        "none.mp4 can't be played: there is no such file or device",
    ),
    "no video": (
        ["--stream", "gate", "--clip", "text.mp4"],
        2,
        "text.mp4 can't be played: what comes is not a stream that FFmpeg can read",
    ),
    "malformed truth": (
        ["--stream", "gate", "--truth", "bad.txt"],
        2,
        "bad.txt:1: 3 columns; MOT has frame,id,x,y,width,height and may have more",
    ),
    "truth of other things": (
        ["--stream", "gate", "--truth", "zebras.txt"],
        2,
        "zebras.txt: the stream's models find no motorcycle",
    ),
    "skipped pictures": (
        ["--stream", "keys", "--truth", "gt.txt"],
        2,
        "ground truth counts every picture; set `skip: none` for stream `keys`",
    ),
    "no folder for the picture": (
        ["--stream", "gate", "--png", "none/a.png"],
        2,
        "none/a.png can't be written: there is no folder none",
    ),
    "unknown label": (
        ["--stream", "wrong"],
        2,
        "streams[4].classes[0]: unknown label `zebra`; street knows person, car and bicycle",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_one_sentence(case: str, cli: Cli) -> None:
    arguments, code, message = BAD[case]
    ended, out, err = cli(*arguments)
    assert (ended, out, err[: len(message) + 11]) == (code, "", f"framelane: {message}")
    assert err.count("\n") == 1


def test_unusable_model_ends_with_3(cli: Cli) -> None:
    code, out, err = cli("--stream", "gate", config="broken.yaml")
    assert (code, out) == (3, "")
    assert "broken.onnx" in err
