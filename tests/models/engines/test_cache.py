"""An engine is found, built or refused; TensorRT is a stand-in, files and models are real."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.gpu.trt.fake_trt import fake_trt
from tests.models.engines.examples import fill_with_pictures

import framelane.demo
from framelane.config.sections.model import ModelConfig
from framelane.core.errors import ModelError
from framelane.models.artifact import Artifact
from framelane.models.engines import cache
from framelane.models.engines.cache import BuildOptions, DeviceFacts, EngineFile, ensure_engine
from framelane.models.engines.profiles import Profile

DEMO = Path(framelane.demo.__file__).parent / "assets" / "framelane-demo.onnx"
H200 = DeviceFacts("NVIDIA H200", (9, 0))
ARTIFACT = Artifact.open(DEMO)


def ensure(
    folder: Path, trt: Any, options: BuildOptions | None = None, device: DeviceFacts = H200, **section: Any
) -> EngineFile:
    engine = {"folder": str(folder), **section.pop("engine", {})}
    config = ModelConfig.model_validate({"path": str(DEMO), "engine": engine, **section})
    return ensure_engine("demo", config, ARTIFACT, device, options, trt)


def builds(trt: Any) -> int:
    return int(trt.calls.count(("build",)))


def test_an_engine_is_built_once_and_then_found(tmp_path: Path) -> None:
    trt = fake_trt("8.5.3.1")
    first = ensure(tmp_path, trt)
    second = ensure(tmp_path, trt)
    assert (first, builds(trt)) == (second, 1)
    assert first.path.name == f"framelane-demo-{first.sidecar.key}.engine"
    assert first.path.read_bytes() == b"plan"
    parts = first.sidecar.parts
    assert (parts.precision, parts.profile.batch, parts.profile.size_text) == ("fp16", (1, 16, 16), "320x320")
    assert [(each.name, each.dtype) for each in first.sidecar.bindings] == [
        ("images", "float16"),
        ("output0", "float32"),
    ]
    assert sorted(each.suffix for each in tmp_path.iterdir()) == ["", ".engine", ".json", ".timing"]


def test_the_part_that_differs_is_said(tmp_path: Path) -> None:
    old = ensure(tmp_path, fake_trt("8.5.3.1"))
    with capture_logs() as logged:
        new = ensure(tmp_path, fake_trt("8.6.1"))
    assert [line["differs"] for line in logged if line["event"] == "engine_rebuild"] == [
        f"TensorRT 8.5.3.1 -> 8.6.1 ({old.path.name})"
    ]
    assert new.path != old.path
    assert old.path.exists()


def test_never_build_is_obeyed(tmp_path: Path) -> None:
    old = ensure(tmp_path, fake_trt("8.5.3.1"))
    trt = fake_trt("8.5.3.1")
    device = DeviceFacts("NVIDIA L4", (8, 9))
    with pytest.raises(ModelError) as raised:
        ensure(tmp_path, trt, device=device, engine={"build": "never"})
    assert str(raised.value) == (
        f"{DEMO} has no engine in {tmp_path} for TensorRT 8.5.3.1, NVIDIA L4, fp16, batch 1:16:16, size 320x320; the "
        f"nearest differs: GPU NVIDIA H200 -> NVIDIA L4, compute capability 9.0 -> 8.9 ({old.path.name}). "
        "Build it with `framelane engine build`, or set `engine.build: auto`"
    )
    assert builds(trt) == 0


def test_a_wider_engine_of_the_command_line_serves_the_daemon(tmp_path: Path) -> None:
    trt = fake_trt("8.5.3.1")
    profile = Profile((1, 16, 32), ((320, 320),) * 3)
    wide = ensure(tmp_path, trt, BuildOptions(profile, ("EDGE_MASK_CONVOLUTIONS",)))
    assert ensure(tmp_path, trt, batch=32, engine={"build": "never"}) == wide


def test_rebuilding_can_be_forced(tmp_path: Path) -> None:
    trt = fake_trt("8.5.3.1")
    ensure(tmp_path, trt)
    ensure(tmp_path, trt, BuildOptions(rebuild=True))
    assert builds(trt) == 2
    assert next(tmp_path.glob("*.timing")).read_bytes() == b"++"


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        (
            Profile((1, 16, 16), ((640, 640),) * 3),
            f"{DEMO} fixes its input to 320x320; size 640x640 can't change that: export it with a dynamic size",
        )
    ],
)
def test_what_the_file_fixes_can_t_be_opened(tmp_path: Path, profile: Profile, message: str) -> None:
    with pytest.raises(ModelError) as raised:
        ensure(tmp_path, fake_trt("8.5.3.1"), BuildOptions(profile))
    assert message == str(raised.value)


def test_an_engine_is_kept_though_its_timing_cache_can_t_be(tmp_path: Path) -> None:
    options = BuildOptions(timing_cache=tmp_path / "gone" / "t.timing")
    with capture_logs() as logged:
        built = ensure(tmp_path, fake_trt("8.5.3.1"), options)
    assert built.path.exists()
    assert "engine_timing_cache_not_kept" in [line["event"] for line in logged]


@pytest.mark.parametrize("version", ["8.5.3.1", "11.4.0.106"])
def test_int8_is_calibrated_with_pictures(tmp_path: Path, version: str) -> None:
    trt = fake_trt(version)
    pictures = fill_with_pictures(tmp_path / "pictures", 128)
    told: list[tuple[str, int, int]] = []
    options = BuildOptions(tell=lambda *step: told.append(step))
    built = ensure(tmp_path / "e", trt, options, precision="int8", engine={"calibration": str(pictures)})
    assert built.sidecar.parts.calibration is not None
    assert told[127] == ("calibrating", 128, 128)
    weak = version == "8.5.3.1"
    assert ({"FP16", "INT8"} <= trt.config.flags) == weak
    assert built.sidecar.bindings[0].dtype == ("float32" if weak else "float16")
    assert ensure(tmp_path / "e", trt, precision="int8", engine={"build": "never"}) == built


def test_build_asks_systemd_for_more_time_while_it_gets_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Now and then, not at every step; a build that hangs tells no steps, and is not waited for."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        diary = cache._Diary("yolox", _told_s=time.monotonic() - 60)
        for step in range(100):
            diary("timing kernels", step, 100)
        assert systemd.recv(64) == b"EXTEND_TIMEOUT_USEC=600000000"
        systemd.settimeout(0)
        with pytest.raises(BlockingIOError):
            systemd.recv(64)
