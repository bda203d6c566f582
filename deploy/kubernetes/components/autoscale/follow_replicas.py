"""Sets FRAMELANE_SHARD_COUNT of a StatefulSet to its number of replicas: `follow_replicas.py NAME`.

A changed template restarts the pods, from the highest number down, each with its new share of the streams.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import urllib.request
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
VARIABLE = "FRAMELANE_SHARD_COUNT"


def main(name: str, account: Path = ACCOUNT, scheme: str = "https") -> None:
    """Compare the numbers, and patch the StatefulSet if they differ."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    namespace = (account / "namespace").read_text()
    host = f"[{host}]" if ":" in host else host
    url = f"{scheme}://{host}:{port}/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}"
    found = ask(url, account)
    replicas = found["spec"]["replicas"]
    containers = found["spec"]["template"]["spec"]["containers"]
    count = next(
        env["value"] for each in containers for env in each.get("env", []) if env["name"] == VARIABLE
    )
    if count != str(replicas):
        env = [{"name": VARIABLE, "value": str(replicas)}]
        spec = {"containers": [{"name": "framelane", "env": env}]}
        ask(url, account, {"spec": {"template": {"spec": spec}}})
    change = "" if count == str(replicas) else f", now {replicas}"
    print(f"{name}: {replicas} replicas, {count} shards{change}")


def ask(url: str, account: Path, patch: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
    """Send GET, or PATCH if `patch` is given; return the JSON answer."""
    request = urllib.request.Request(url, method="GET" if patch is None else "PATCH")  # noqa: S310 - the API's own
    request.add_header("Authorization", f"Bearer {(account / 'token').read_text()}")
    if patch is not None:
        request.data = json.dumps(patch).encode()
        request.add_header("Content-Type", "application/strategic-merge-patch+json")
    trust = ssl.create_default_context(cafile=str(account / "ca.crt")) if url.startswith("https") else None
    with urllib.request.urlopen(request, timeout=20, context=trust) as answer:  # noqa: S310
        return json.load(answer)


if __name__ == "__main__":
    main(sys.argv[1])
