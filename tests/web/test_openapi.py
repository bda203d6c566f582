"""/openapi.json is valid and complete, and matches the routes' answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.core.result import Ok
from tests.web.conftest import HEADERS

if TYPE_CHECKING:
    from schemathesis import Case


EXAMPLES = 40
OPERATIONS = {
    "get_health", "get_readiness", "get_metrics", "get_status", "list_streams", "get_stream", "add_stream",
    "change_stream", "remove_stream", "reload", "probe_stream",
}  # fmt: skip


@pytest.fixture
def description(url: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{url}/openapi.json", headers=HEADERS).json()
    return found


def operations(description: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["operationId"]: each for path in description["paths"].values() for each in path.values()}


def test_description_is_valid(description: dict[str, Any]) -> None:
    validator = pytest.importorskip("openapi_spec_validator", reason="install the dev extra")
    validator.validate(description)


def test_every_operation_has_a_name_that_says_what_it_does(description: dict[str, Any]) -> None:
    assert set(operations(description)) == OPERATIONS


def test_every_reference_leads_somewhere(description: dict[str, Any]) -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, list):
            return [found for each in node for found in references(each)]
        if not isinstance(node, dict):
            return []
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for each in node.values() for found in references(each)]

    known = {f"#/components/schemas/{name}" for name in description["components"]["schemas"]}
    assert set(references(description)) <= known


def test_streams_have_bodies_and_answers(description: dict[str, Any]) -> None:
    found = operations(description)
    schemas = description["components"]["schemas"]
    for name in ("add_stream", "change_stream"):
        reference = found[name]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        schema = schemas[reference.rpartition("/")[2]]
        assert {"id", "url", "fps", "classes", "confidence", "publish", "backoff"} <= schema[
            "properties"
        ].keys()
        assert schema.get("required", []) == (["id", "url"] if name == "add_stream" else [])
        assert schema["additionalProperties"] is False
    for name, status in (("add_stream", "201"), ("change_stream", "200"), ("remove_stream", "200")):
        answer = found[name]["responses"][status]["content"]["application/json"]["schema"]
        assert answer == {"$ref": "#/components/schemas/OutcomeReply"}
        for refusal in ("401", "409", "421", "422"):
            assert list(found[name]["responses"][refusal]["content"]) == ["application/problem+json"]
    probed = schemas["ProbedStream"]
    assert ("id" in probed["properties"], probed["required"]) == (False, ["url"])
    assert schemas["OutcomeReply"]["properties"].keys() == {
        "added", "changed", "reopened", "removed", "took_ms", "stream",
    }  # fmt: skip


def test_answers_are_what_the_description_says(url: str, description: dict[str, Any]) -> None:
    """A stream that comes, is read, changes and goes."""

    def ask(method: str, path: str, operation: str, **options: Any) -> Any:
        reply = httpx.request(method, url + path, headers=HEADERS, **options)
        content = operations(description)[operation]["responses"][str(reply.status_code)]["content"]
        media_type = reply.headers["content-type"].partition(";")[0]
        schema = {**content[media_type]["schema"], "components": description["components"]}
        jsonschema.Draft202012Validator(schema).validate(reply.json())
        return reply.json()

    gate = {"id": "gate", "url": "rtsp://viewer:hunter2hunter2@10.0.0.8/1", "fps": 10}
    assert ask("POST", "/api/streams", "add_stream", json=gate)["added"] == ["gate"]
    assert [each["id"] for each in ask("GET", "/api/streams", "list_streams")] == ["lobby", "gate"]
    changed = ask("PATCH", "/api/streams/gate", "change_stream", json={"classes": ["car"]})
    assert (changed["changed"], changed["reopened"]) == (["gate"], [])
    reopened = ask("PATCH", "/api/streams/gate", "change_stream", json={"transport": "udp"})
    assert (reopened["changed"], reopened["reopened"]) == (["gate"], ["gate"])
    assert ask("GET", "/api/streams/gate", "get_stream")["classes"] == ["car"]
    assert ask("DELETE", "/api/streams/gate", "remove_stream")["removed"] == ["gate"]
    assert ask("GET", "/api/streams/gate", "get_stream")["status"] == 404
    assert ask("POST", "/api/streams", "add_stream", json={"id": "x"})["findings"]
    assert (
        ask(
            "POST",
            "/api/streams",
            "add_stream",
            content=b"x",
        )["status"]
        == 415
    )
    assert ask("POST", "/api/reload", "reload")["removed"] == []
    assert ask("POST", "/api/probe", "probe_stream", json={"url": "/nothing"})["reason"] == "missing"
    assert ask("POST", "/api/probe", "probe_stream", json={"url": "gopher://h"})["findings"]


def test_no_answer_differs_from_the_description(url: str) -> None:
    """Any described request gets a described status, media type and body."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", headers=HEADERS)
    for found in schema.get_all_operations():
        if not isinstance(found, Ok):
            raise TypeError(found)
        operation = found.ok()

        @settings(
            max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
        )
        @given(case=operation.as_strategy())
        def ask(case: Case[Any]) -> None:
            checks = schemathesis.checks
            case.call_and_validate(
                headers=HEADERS,
                checks=[
                    checks.not_a_server_error,
                    checks.status_code_conformance,
                    checks.content_type_conformance,
                    checks.response_schema_conformance,
                ],
            )

        ask()
