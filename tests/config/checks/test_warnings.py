"""Oddities of a usable file: input -> exact warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from framelane.config.yaml.load import check_config, check_text

if TYPE_CHECKING:
    from pathlib import Path

TWO = '{id: a, url: "rtsp://h/1"}, {id: b, url: "rtsp://h/1"}'
MQTT = 'mqtt: {url: "mqtt://h"}\n'
CLEAR = (
    '{id: a, url: "rtsp://u:hunter2@h/1"}, {id: b, url: "rtsp://u:${PW}@h/2"}, {id: c, url: "rtsp://u:x@h/3"}'
)


def text_of(streams: str, mqtt: str = "", model: str = "", rest: str = "") -> str:
    return f"""
mqtt: {{url: "mqtt://h"{mqtt}}}
models: {{yolox: {{path: m.onnx{model}}}}}
streams: [{streams}]
{rest}
"""


DOTS = "RabbitMQ treats a `.` in a topic as a `/`; subscriptions as in the docs then receive nothing"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (text_of('{id: a, url: "rtsp://h/1"}'), []),
        (text_of(TWO), ["streams[1].url: the same URL as streams[0]: the camera is opened and decoded twice"]),
        (text_of(TWO.replace("id: b", "id: b, enabled: false")), []),
        (text_of('{id: a, url: "rtsp://h/1", enabled: false}'), ["streams: no stream is enabled"]),
        (text_of('{id: a, url: "rtsp://h/1"}, {id: b, url: "rtsp://h/2"}', rest="workers: 2"), []),
        (text_of('{id: a, url: "rtsp://h/1"}', rest="workers: 2"), [
            "workers: 2 workers configured for 1 stream; the rest are not started"]),
        (text_of('{id: a, url: "rtsp://h/1"}, {id: b, url: "rtsp://h/2"}', rest="gpus: [0, 1, 2]"), [
            "gpus: 3 workers configured for 2 streams; the rest are not started"]),
        (text_of('{id: a, url: "rtsp://h/1"}', model=", backend: onnxruntime, precision: fp16"), [
            "models.yolox.precision: has no effect on ONNX Runtime, which runs the file as it is"]),
        (text_of('{id: a, url: "rtsp://h/1"}', model=", precision: fp16"), []),
        (text_of('{id: a, url: "rtsp://h/1"}', model="}, spare: {path: m.onnx"), [
            "models.spare: no stream uses this model"]),
        (text_of("{id: a, url: no.mp4}"), ["streams[0].url: there is no such file or folder (yet): {base}/no.mp4"]),
        (text_of('{id: a, url: "rtsp://h/1"}', mqtt=", username: u, password: hunter2"), [
            "mqtt.password: a secret in clear text; use ${NAME} or a `*_file` key"]),
        (text_of('{id: a, url: "rtsp://h/1"}', mqtt=', username: u, password: "${PW}"'), []),
        (text_of('{id: a, url: "rtsp://h/1"}', rest="http: {token: hunter2}"), [
            "http.token: a secret in clear text; use ${NAME} or a `*_file` key"]),
        (text_of(CLEAR), ["streams[0].url: a password in clear text (and in 1 more streams); use ${NAME}"]),
        (text_of('{id: a, url: "rtsp://h/1"}', mqtt=", protocol: 3.1.1, expiry_s: 5"), [
            "mqtt.expiry_s: has no effect with MQTT 3.1.1"]),
        (text_of('{id: a.1, url: "rtsp://h/1"}, {id: a.2, url: "rtsp://h/2"}', mqtt=", prefix: my.site"), [
            f"mqtt.prefix: {DOTS}", f"streams[0].id: {DOTS} (and 1 more streams)"]),
        (text_of('{id: a, url: "rtsp://h/1"}', rest="node: {id: gate.01}"), [
            f"node.id: gate.01: {DOTS}; the default is the host name"]),
        (text_of('{id: a.1, url: "rtsp://h/1"}', rest="jsonl: {path: '-'}").replace(MQTT, ""), []),
        (text_of('{id: a, url: "rtsp://h/1"}', mqtt=", retain: false, homeassistant: {enabled: true}"), [
            "mqtt.homeassistant: with `mqtt.retain: false` devices are missing after its restart until it asks"]),
        (text_of('{id: a, url: "rtsp://h/1"}', mqtt=", retain: false", rest="onvif: {enabled: true}"), [
            "onvif.enabled: with `mqtt.retain: false` clients learn of zones and counters only when these change"]),
        (text_of('{id: a, url: "rtsp://h/1"}', rest="onvif: {enabled: true}"), []),
        (text_of('{id: a, url: "rtsp://h/1"}', mqtt=", homeassistant: {enabled: true}"), []),
        (text_of('{id: a, url: "rtsp://h/1"}', ", homeassistant: {enabled: true}", rest="publish: {empty: never}"), [
            "mqtt.homeassistant: no counts are announced: with `publish.empty: never` they would never go back to 0"]),
        (text_of('{id: a, url: "rtsp://h/1", publish: {empty: never}}', ", homeassistant: {enabled: true}"), [
            "mqtt.homeassistant: no counts are announced: with `publish.empty: never` they would never go back to 0"]),
        (text_of('{id: a, url: "rtsp://h/1"}', ", payload: msgpack, homeassistant: {enabled: true}"), [
            "mqtt.homeassistant: reads only JSON; with `mqtt.payload: msgpack` it gets no occupancy and no counts"]),
        (text_of('{id: a, url: "rtsp://h/1"}', ", payload: msgpack"), []),
        (text_of('{id: a, url: "rtsp://h/1"}', rest="publish: {empty: never}"), []),
        (text_of('{id: a, url: "rtsp://h/1"}').replace('mqtt://h"', 'mqtts://h", tls: {verify: false}'), [
            "mqtt.tls.verify: anyone on the path to the broker can read and change messages"]),
        (text_of(
            '{id: a, url: "rtsp://h/1"}',
            rest="media: {folder: m, s3: {bucket: cams, endpoint: 'http://127.0.0.1:9000'}}",
        ), []),
        (text_of(
            '{id: a, url: "rtsp://h/1"}',
            rest="media: {folder: m, s3: {bucket: cams, endpoint: 'http://h', delete_after_upload: true,\n"
            "  access_key: a, secret_key: hunter2, tls: {verify: false}}}",
        ), [
            "media.s3.endpoint: anyone on the path to the server can read snapshots and clips; write https://",
            "media.s3.delete_after_upload: addresses in messages lead to deleted files; set `media.s3.public_url`",
            "media.s3.secret_key: a secret in clear text; use ${NAME} or a `*_file` key"]),
        (text_of(
            '{id: a, url: "rtsp://h/1"}',
            rest="media: {folder: m, s3: {bucket: cams, tls: {verify: false}}}",
        ), ["media.s3.tls.verify: anyone on the path to the server can read snapshots and clips"]),
        (text_of('{id: a, url: "rtsp://h/1", classes: [car], confidence: {person: 0.5, car: 0.1}}'), [
            "streams[0].confidence.person: has no effect: `classes` excludes this label"]),
        (text_of('{id: a, url: "rtsp://h/1"}', rest="jsonl: {path: '-', kinds: [state]}"), []),
        (text_of('{id: a, url: "rtsp://h/1"}', rest="jsonl: {path: '-', kinds: [state]}").replace(MQTT, ""), [
            "jsonl.kinds: detections go nowhere: there is no `mqtt`, and this list excludes them"]),
        (text_of('{id: a, url: "rtsp://h/1"}', rest="jsonl: {path: no/x.jsonl}"), [
            "jsonl.path: there is no such folder (yet): {base}/no"]),
        (text_of('{id: a, url: "rtsp://h/1"}', rest="jsonl: {path: .}"), [
            "jsonl.path: is a folder, not a file: {base}"]),
        (text_of('{id: a, url: "rtsp://h/1"}', rest="streams_dir: no.d"), [
            "streams_dir: there is no such folder (yet): {base}/no.d"]),
        (text_of('{id: a, url: "rtsp://h/1", preview_url: "rtsp://u:2024/x@10.0.0.7/2"}'), [
            ("streams[0].preview_url: an `@` in the path; if it ends a password, percent-encode `/ ? # @ [ ]` in the "
            "password")]),
        (text_of('{id: a, url: "rtsp://h/1", preview_url: "rtsp://h/1"}'), [
            "streams[0].preview_url: the same as `url`: the camera is opened twice for the same video; remove it"]),
        (text_of('{id: a, url: "rtsp://u:2024/x@10.0.0.7/1"}'), [
            "streams[0].url: an `@` in the path; if it ends a password, percent-encode `/ ? # @ [ ]` in the password"]),
    ],
)  # fmt: skip
def test_check_warns_about_oddities(base: Path, text: str, expected: list[str]) -> None:
    report = check_text(text, base, {"PW": "hunter2hunter2"})
    assert report.findings == []
    assert [str(warning) for warning in report.warnings] == [
        line.replace("{base}", str(base)) for line in expected
    ]


@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o640, False), (0o600, False)])
def test_check_warns_when_every_user_may_read_secrets(base: Path, mode: int, warned: bool) -> None:  # noqa: FBT001 - a case of the table
    file = base / "config.yaml"
    file.write_text(text_of('{id: a, url: "rtsp://u:hunter2@h/1"}'))
    file.chmod(mode)
    messages = [str(warning) for warning in check_config(file, {}).warnings]
    assert (f"contains secrets that every user can read; run chmod o-r {file}" in messages) == warned


def test_check_does_not_mind_the_mode_of_a_file_without_secrets(base: Path, minimal: str) -> None:
    file = base / "config.yaml"
    file.write_text(minimal)
    file.chmod(0o644)
    assert check_config(file, {}).warnings == []
