"""`/api/detect` of a real daemon under requests generated from its OpenAPI description, and worse ones."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import cv2
import httpx
import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.models import tiny_models

from framelane.config.yaml.load import parse_config
from framelane.node.daemon import make_node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from schemathesis import Case

EXAMPLES = 400
BOX = tiny_models.Box((16.0, 16.0, 64.0, 96.0), class_id=0, score=0.9)
PIXELS = cv2.resize(np.random.default_rng(3).integers(0, 255, (6, 8, 3), np.uint8), (64, 48))
WHOLE = {
    "image/jpeg": cv2.imencode(".jpg", PIXELS)[1].tobytes(),
    "image/png": cv2.imencode(".png", PIXELS)[1].tobytes(),
    "image/webp": cv2.imencode(".webp", PIXELS)[1].tobytes(),
}
DOCUMENTED = {200, 408, 413, 415, 421, 422, 429, 503, 504}


@st.composite
def pictures(draw: st.DrawFn, whole: bytes) -> bytes:
    """A whole, cut or damaged image, or none at all."""
    kind = draw(st.sampled_from(["whole", "cut", "spoilt", "noise"]))
    if kind == "noise":
        return draw(st.binary(max_size=200))
    data = bytearray(whole)
    if kind == "cut":
        return bytes(data[: draw(st.integers(0, len(data)))])
    if kind == "spoilt":
        for _ in range(draw(st.integers(1, 5))):
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


for media_type, whole in WHOLE.items():
    schemathesis.openapi.media_type(media_type, pictures(whole))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("fuzz")
    tiny_models.save(
        folder / "tiny.onnx", [np.asarray(tiny_models.yolov8([BOX]))], metadata=tiny_models.NAMES
    )
    (folder / "pictures").mkdir()
    cv2.imwrite(str(folder / "pictures" / "1.png"), PIXELS)
    text = f"""
        jsonl: {{path: {folder}/out.jsonl}}
        http: {{listen: "127.0.0.1:0", detect: {{max_megabytes: 0.1, max_megapixels: 0.1}}}}
        models: {{tiny: {{path: tiny.onnx, size: [160, 128]}}}}
        streams: [{{id: folder, url: pictures}}]
    """
    app = make_node(parse_config(text, folder, {}), threading.Event())
    app.start()
    assert app.http is not None
    yield f"http://127.0.0.1:{app.http.address[1]}"
    app.stop(10)


def test_every_answer_is_a_documented_one(url: str) -> None:
    # Its own integration with pytest lags behind pytest's inner names; what it makes is a hypothesis strategy.
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    picture_may_be_spoilt = [schemathesis.checks.positive_data_acceptance]
    statuses: Counter[int] = Counter()

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=schema["/api/detect"]["POST"].as_strategy())
    def ask(case: Case[Any]) -> None:
        statuses[case.call_and_validate(excluded_checks=picture_may_be_spoilt).status_code] += 1

    ask()
    assert statuses.keys() >= {200, 422}, "it tries what is good and what is bad"
    assert statuses.keys() <= DOCUMENTED


def test_schema_describes_pictures_and_refusals(url: str) -> None:
    described = httpx.get(f"{url}/openapi.json").json()["paths"]["/api/detect"]["post"]
    assert described["requestBody"]["content"].keys() == WHOLE.keys()
    assert {int(status) for status in described["responses"]} == DOCUMENTED
    assert [each["name"] for each in described["parameters"]] == ["model", "confidence"]
    assert all(
        "application/problem+json" in described["responses"][str(status)]["content"]
        for status in DOCUMENTED - {200}
    )


def test_daemon_is_well_after_all_that(url: str) -> None:
    reply = httpx.post(
        f"{url}/api/detect", content=WHOLE["image/png"], headers={"Content-Type": "image/png"}, timeout=30
    )
    assert len(reply.json()["detections"]) == 1
    assert httpx.get(f"{url}/healthz").status_code == 200
