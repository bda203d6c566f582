"""Everything that can be wrong with a model that looks at objects of another: input -> exact findings."""

# ruff: noqa: E501 - a table of messages reads best with each message whole

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from framelane.config.explain.differences import restart_keys
from framelane.config.second_models import firsts_first, second_models, used_models
from framelane.config.yaml.load import check_text, parse_config

if TYPE_CHECKING:
    from pathlib import Path

    from framelane.config.sections.schema import Config

YOLOX = "yolox: {path: m.onnx, labels: [person, car]}"
LOBBY = '{id: lobby, url: "rtsp://10.0.0.7/1", model: yolox, track: true}'


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "m.onnx").write_bytes(b"")
    return tmp_path


def text(*models: str, streams: str = LOBBY, defaults: str = "{}") -> str:
    return f"""\
mqtt: {{url: "mqtt://127.0.0.1"}}
models: {{{", ".join(models)}}}
defaults: {defaults}
streams: [{streams}]
"""


def parsed(base: Path, *models: str, streams: str = LOBBY) -> Config:
    return parse_config(text(*models, streams=streams), base, {})


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ("plates: {path: m.onnx, of: yolox, on: [car], every_s: 1}", []),
        ("plates: {path: m.onnx, of: yolox}", []),
        ("plates: {path: m.onnx, of: yolo}", ["models.plates.of: unknown model `yolo`; did you mean `yolox`?"]),
        ("plates: {path: m.onnx, of: plates}", ["models.plates.of: is the model itself; name the model that finds the objects"]),
        ("plates: {path: m.onnx, of: yolox, on: [cars]}", ["models.plates.on[0]: unknown label `cars`; did you mean `car`?"]),
        ("plates: {path: m.onnx, of: yolox, every_s: 0.5}", ["models.plates.every_s: expected a number from 1 to 3600; got `0.5`"]),
        ("plates: {path: m.onnx, on: [car]}", ["models.plates.on: has no effect without `of`; set that, or remove this"]),
        ("plates: {path: m.onnx, every_s: 2}", ["models.plates.every_s: has no effect without `of`; set that, or remove this"]),
        ("a: {path: m.onnx, of: b}, b: {path: m.onnx, of: a}", [
            "models.a.of: goes round in a circle: a > b > a; one of them must look at frames",
            "models.b.of: goes round in a circle: b > a > b; one of them must look at frames"]),
        ("plates: {path: m.onnx, of: yolox}, text: {path: m.onnx, of: plates}", [
            "models.text.of: `plates` itself looks at objects, of `yolox`; only objects that a stream's own model finds are tracked, so name `yolox`"]),
    ],
)  # fmt: skip
def test_findings_about_the_second_model(second: str, expected: list[str], base: Path) -> None:
    assert [str(each) for each in check_text(text(YOLOX, second), base, {}).findings] == expected


@pytest.mark.parametrize(
    ("streams", "defaults", "expected"),
    [
        ('{id: lobby, url: "rtsp://10.0.0.7/1", model: yolox}', "{}", [
            "models.plates.of: only tracked objects are looked at, and no stream of `yolox` tracks any; set `track: true` in a stream or in `defaults`"]),
        ('{id: lobby, url: "rtsp://10.0.0.7/1", model: yolox}', "{track: true}", []),
        ('{id: lobby, url: "rtsp://10.0.0.7/1", model: plates, track: true}', "{}", [
            "streams[0].model: `plates` looks at objects of `yolox`, not at frames; name `yolox`, or give the file a second entry under `models` without `of`"]),
        ('{id: lobby, url: "rtsp://10.0.0.7/1", model: [yolox, plates], track: true}', "{}", [
            "streams[0].model[1]: `plates` looks at objects of `yolox`, not at frames; name `yolox`, or give the file a second entry under `models` without `of`"]),
    ],
)  # fmt: skip
def test_findings_about_the_streams(streams: str, defaults: str, expected: list[str], base: Path) -> None:
    file = text("plates: {path: m.onnx, of: yolox}", YOLOX, streams=streams, defaults=defaults)
    assert [str(each) for each in check_text(file, base, {}).findings] == expected


def test_stream_without_a_model_gets_the_first_that_looks_at_frames(base: Path) -> None:
    lobby = '{id: lobby, url: "rtsp://10.0.0.7/1", track: true}'
    config = parsed(base, "plates: {path: m.onnx, of: yolox}", YOLOX, streams=lobby)
    assert config.streams[0].model_keys == ["yolox"]


def test_streams_that_are_left_out_are_a_warning(base: Path) -> None:
    gate = '{id: gate, url: "rtsp://10.0.0.8/1", model: yolox}'
    file = text(YOLOX, "plates: {path: m.onnx, of: yolox}", streams=f"{LOBBY}, {gate}")
    assert [str(each) for each in check_text(file, base, {}).warnings] == [
        "streams[1]: `plates` won't look at its objects; set `track: true`"
    ]


def test_second_model_of_an_unused_model_is_unused_too(base: Path) -> None:
    file = text(YOLOX, "other: {path: m.onnx}", "plates: {path: m.onnx, of: other}")
    assert [str(each) for each in check_text(file, base, {}).warnings] == [
        "models.other: no stream uses this model",
        "models.plates: no stream uses this model",
    ]


def test_used_models_are_those_of_enabled_streams_and_their_second_ones(base: Path) -> None:
    off = '{id: gate, url: "rtsp://10.0.0.8/1", model: other, enabled: false, track: true}'
    models = (
        "color: {path: m.onnx, of: yolox}", YOLOX, "other: {path: m.onnx}", "kind: {path: m.onnx, of: other}",
        "plates: {path: m.onnx, of: yolox}",
    )  # fmt: skip
    config = parsed(base, *models, streams=f"{LOBBY}, {off}")
    assert used_models(config) == {"yolox", "color", "plates"}
    assert second_models(config.models, "yolox") == ["color", "plates"]
    assert firsts_first(config.models) == ["yolox", "other", "color", "kind", "plates"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("of: yolox, on: [car], every_s: 5, margin: 0.5, deadline_s: 1", []),
        ("of: yolox, confidence: 0.7", [("models", "plates", "confidence")]),
        ("of: other", [("models", "plates", "of")]),
    ],
)
def test_what_it_looks_at_can_change_while_it_runs(
    change: str, expected: list[tuple[str, ...]], base: Path
) -> None:
    other = "other: {path: m.onnx}"
    both = f'{LOBBY}, {{id: gate, url: "rtsp://10.0.0.8/1", model: other, track: true}}'
    before = parsed(base, YOLOX, other, "plates: {path: m.onnx, of: yolox}", streams=both)
    after = parsed(base, YOLOX, other, f"plates: {{path: m.onnx, {change}}}", streams=both)
    assert restart_keys(before, after, before.models) == expected
