"""The manifests are valid against the API's schemas, restricted, and consistent with each other and the daemon."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from framelane.config.shard import shard_of
from framelane.config.yaml.load import check_text

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
OVERLAYS = ("cpu", "gpu")
# Oldest and newest API that the manifests are for.
VERSIONS = ("1.29.0", "1.33.0")
# Their schemas belong to kustomize and to the Prometheus operator, not to Kubernetes.
FOREIGN = {"Kustomization", "Component", "ServiceMonitor"}
STREAMS = "framelane-streams"
EVERYTHING = """
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../overlays/cpu]
components: [../components/monitoring, ../components/autoscale]
"""

needs_kustomize = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl, which holds kustomize, is not installed"
)


def documents(text: str) -> list[Any]:
    return [document for document in yaml.safe_load_all(text) if document]


@cache
def kustomized(folder: Path) -> str:
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def built(overlay: str) -> dict[str, dict[str, Any]]:
    """The overlay's resources by kind; the ConfigMap of streams, whose name has no hash, by its name."""
    found = {}
    for each in documents(kustomized(FOLDER / "overlays" / overlay)):
        name = each["metadata"]["name"]
        found[name if name == STREAMS else each["kind"]] = each
    assert len(found) == 6
    return found


def pod_of(resources: dict[str, dict[str, Any]]) -> dict[str, Any]:
    pod: dict[str, Any] = resources["StatefulSet"]["spec"]["template"]["spec"]
    return pod


@pytest.mark.parametrize(
    "path", sorted(FOLDER.rglob("*.yaml")), ids=lambda path: str(path.relative_to(FOLDER))
)
def test_manifest_is_valid(path: Path) -> None:
    for document in documents(path.read_text(encoding="utf-8")):
        if not isinstance(document, dict) or document.get("kind") in FOREIGN or path.name == "framelane.yaml":
            continue
        for version in VERSIONS:
            kubernetes_validate.validate(document, version, strict=True)


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlay_is_valid_when_it_is_built(overlay: str) -> None:
    for resource in built(overlay).values():
        assert resource["metadata"]["namespace"] == "framelane"
        for version in VERSIONS:
            kubernetes_validate.validate(resource, version, strict=True)


@needs_kustomize
def test_components_fit_an_overlay(tmp_path: Path) -> None:
    tree = tmp_path / "kubernetes"
    shutil.copytree(FOLDER, tree)
    (tree / "all").mkdir()
    (tree / "all" / "kustomization.yaml").write_text(EVERYTHING)
    resources = documents(kustomized(tree / "all"))
    kinds = {resource["kind"] for resource in resources}
    assert {
        "ServiceMonitor",
        "HorizontalPodAutoscaler",
        "CronJob",
        "Role",
        "RoleBinding",
        "ServiceAccount",
    } <= kinds
    for resource in resources:
        if resource["kind"] not in FOREIGN:
            kubernetes_validate.validate(resource, VERSIONS[-1], strict=True)


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_selectors_find_the_pods_and_no_one_elses(overlay: str) -> None:
    resources = built(overlay)
    labels = resources["StatefulSet"]["spec"]["template"]["metadata"]["labels"].items()
    selectors = [
        resources["StatefulSet"]["spec"]["selector"]["matchLabels"],
        resources["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        resources["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        resources["Service"]["spec"]["selector"],
    ]
    assert all(selector and selector.items() <= labels for selector in selectors)
    dns = resources["NetworkPolicy"]["spec"]["egress"][0]["to"][0]["podSelector"]["matchLabels"]
    assert dns == {"k8s-app": "kube-dns"}
    monitor = yaml.safe_load(
        (FOLDER / "components" / "monitoring" / "servicemonitor.yaml").read_text(encoding="utf-8")
    )
    assert (
        monitor["spec"]["selector"]["matchLabels"].items()
        <= resources["Service"]["metadata"]["labels"].items()
    )


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_have_no_rights_they_do_not_need(overlay: str) -> None:
    pod = pod_of(built(overlay))
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert (pod["securityContext"]["runAsUser"], pod["automountServiceAccountToken"]) == (10001, False)
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    probes = {
        name: container[name]["httpGet"]["path"]
        for name in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert probes == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}


@needs_kustomize
def test_gpu_overlay_asks_for_a_gpu_and_time_to_build_engines() -> None:
    (container,) = pod_of(built("gpu"))["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["startupProbe"]["failureThreshold"] * container["startupProbe"]["periodSeconds"] == 1800
    assert container["image"].endswith("-gpu")


@needs_kustomize
def test_there_are_as_many_shards_as_replicas_are_asked_for(tmp_path: Path) -> None:
    """`replicas` alone has to be changed."""
    tree = tmp_path / "kubernetes"
    shutil.copytree(FOLDER, tree)
    file = tree / "base" / "statefulset.yaml"
    file.write_text(file.read_text().replace("  replicas: 2\n", "  replicas: 5\n"))
    found = {each["kind"]: each for each in documents(kustomized(tree / "overlays" / "cpu"))}
    (container,) = pod_of(found)["containers"]
    counts = [env["value"] for env in container["env"] if env["name"] == "FRAMELANE_SHARD_COUNT"]
    assert counts == ["5"]


@needs_kustomize
def test_configuration_is_one_and_every_stream_has_a_pod(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As each pod reads it: environment and Secret of the manifests, host name of the StatefulSet."""
    resources = built("cpu")
    (container,) = pod_of(resources)["containers"]
    secret = yaml.safe_load((FOLDER / "secret.example.yaml").read_text(encoding="utf-8"))
    for name, value in secret["stringData"].items():
        (tmp_path / name).write_text(value)
    environ = {env["name"]: env["value"] for env in container["env"]}
    environ |= {"CREDENTIALS_DIRECTORY": str(tmp_path), "STATE_DIRECTORY": "/var/lib/framelane"}
    text = resources["ConfigMap"]["data"]["framelane.yaml"].replace("/etc/framelane-streams", "streams")
    (tmp_path / "streams").mkdir()
    for name, content in resources[STREAMS]["data"].items():
        (tmp_path / "streams" / name).write_text(content)
    (tmp_path / "m.onnx").touch()
    shares = []
    for number in range(resources["StatefulSet"]["spec"]["replicas"]):
        monkeypatch.setattr("socket.gethostname", lambda number=number: f"framelane-{number}")
        config = check_text(text.replace("/models/yolox_nano.onnx", "m.onnx"), tmp_path, environ).require()
        assert config.node.id == f"framelane-{number}"
        shares.append([stream.id for stream in config.streams if stream.enabled])
    assert sorted(stream for share in shares for stream in share) == ["lobby", "yard"]
    assert shares[shard_of("lobby", 2)].count("lobby") == 1


class FakeApi(BaseHTTPRequestHandler):
    """The API server, as far as one StatefulSet goes."""

    replicas = 3
    count = "2"
    asked: list[tuple[str, str, str | None, Any]]

    def do_GET(self) -> None:
        self._answer(None)

    def do_PATCH(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, body: Any) -> None:
        self.asked.append((self.command, self.path, self.headers["Authorization"], body))
        env = [{"name": "OTHER", "value": "x"}, {"name": "FRAMELANE_SHARD_COUNT", "value": self.count}]
        pod = {"spec": {"containers": [{"name": "framelane", "env": env}]}}
        answer = json.dumps({"spec": {"replicas": self.replicas, "template": pod}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


@pytest.mark.parametrize(("replicas", "patched"), [(3, ["3"]), (2, [])])
def test_follower_sets_the_count_where_the_autoscaler_has_changed_the_replicas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replicas: int, patched: list[str]
) -> None:
    spec = importlib.util.spec_from_file_location(
        "follow", FOLDER / "components" / "autoscale" / "follow_replicas.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "namespace").write_text("cams")
    (tmp_path / "token").write_text("t0ken")
    asked: list[tuple[str, str, str, Any]] = []
    api = type("Api", (FakeApi,), {"asked": asked, "replicas": replicas})
    with ThreadingHTTPServer(("127.0.0.1", 0), api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.server_port))
        module.main("framelane", tmp_path, "http")
        server.shutdown()
    assert {(path, token) for _, path, token, _ in asked} == {
        ("/apis/apps/v1/namespaces/cams/statefulsets/framelane", "Bearer t0ken")
    }
    patches = [body["spec"]["template"]["spec"]["containers"][0] for _, _, _, body in asked if body]
    assert [container["env"][0]["value"] for container in patches] == patched
