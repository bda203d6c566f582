"""Loading of a good file: inheritance, variables, secrets and paths."""

# ruff: noqa: E501 - YAML in flow style, as operators write it

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from framelane.config.sections.backoff import BackoffConfig
from framelane.config.sections.publish import PublishConfig
from framelane.config.sections.stream_tls import StreamTlsConfig
from framelane.config.yaml.load import load_config, parse_config
from framelane.core.redact import redact

if TYPE_CHECKING:
    from framelane.config.sections.schema import Config
    from framelane.config.sections.stream import StreamConfig


def load(base: Path, text: str, **environ: str) -> Config:
    return parse_config(text, base, environ)


def one_stream(base: Path, options: str, defaults: str = "{}", **environ: str) -> StreamConfig:
    text = f"""
jsonl: {{path: "-"}}
models: {{yolox: {{path: m.onnx}}, second: {{path: m.onnx}}}}
defaults: {defaults}
streams: [{{id: lobby, {options}}}]
"""
    return load(base, text, **environ).streams[0]


def test_load_config_takes_the_yaml_of_the_design(base: Path) -> None:
    file = base / "config.yaml"
    file.write_text("""
node: {id: gate-01}
mqtt: {url: "mqtt://127.0.0.1:1883", username: framelane, password_file: secret, prefix: framelane, qos: 1}
http: {listen: "127.0.0.1:8080", token_file: secret}
models:
  yolox: {path: m.onnx, backend: auto, precision: fp16, batch: 16, linger_ms: 10, labels: coco, confidence: 0.4, iou: 0.45}
defaults: {fps: 10, decode: auto, transport: tcp}
streams:
  - {id: lobby, url: "rtsp://user:${LOBBY_PW}@10.0.0.7/stream1", model: yolox, classes: [person], confidence: {person: 0.5}}
  - {id: clip, url: "clips/street.mp4", loop: true, realtime: true}
""")
    config = load_config(file, {"LOBBY_PW": "p@ss/word"})
    lobby, clip = config.streams
    assert config.mqtt is not None
    assert config.mqtt.password is not None
    assert config.mqtt.password.get_secret_value() == "hunter2hunter2"
    assert config.models["yolox"].path == str(base / "m.onnx")
    assert lobby.url.get_secret_value() == "rtsp://user:p%40ss%2Fword@10.0.0.7/stream1"
    assert (lobby.fps, lobby.model_keys, lobby.confidence) == (10.0, ["yolox"], {"person": 0.5})
    assert (clip.url.get_secret_value(), clip.fps, clip.model_keys) == (
        f"{base}/clips/street.mp4",
        10.0,
        ["yolox"],
    )


def test_load_registers_every_secret_for_redaction(base: Path) -> None:
    load(
        base,
        """
mqtt: {url: "mqtt://u:broker%2Fpassword@h"}
http: {token: bearer-token-1}
models: {m: {path: m.onnx}}
streams:
  - {id: a, url: "rtsp://u:${CAMERA}@h/1"}
  - {id: b, url: "http://h/video?user=u&pwd=query-password"}
""",
        CAMERA="camera#password",
    )
    text = "broker/password bearer-token-1 camera#password camera%23password query-password"
    assert redact(text) == "*** *** *** *** ***"


@pytest.mark.parametrize(
    ("options", "defaults", "expected"),
    [
        ("url: a", "{}", {"fps": None, "transport": "tcp", "confidence": None, "model": "yolox"}),
        ("url: a", "{fps: 5, model: second}", {"fps": 5.0, "model": "second"}),
        ("url: a, fps: 7", "{fps: 5, transport: udp}", {"fps": 7.0, "transport": "udp"}),
        ("url: a, fps: null", "{fps: 5}", {"fps": None}),
        ("url: a, confidence: {car: 0.1}", "{confidence: {person: 0.5}}", {"confidence": {"car": 0.1}}),
        ("url: a, ffmpeg: {b: c}", "{ffmpeg: {x: y}}", {"ffmpeg": {"b": "c"}}),
        ("url: a, backoff: {first_s: 2}", "{backoff: {most_s: 9}}", {"backoff": BackoffConfig(first_s=2, most_s=9)}),
        ("url: a, backoff: {most_s: 8}", "{backoff: {most_s: 9}}", {"backoff": BackoffConfig(most_s=8)}),
        ("url: a, model: [second, yolox]", "{}", {"model": ["second", "yolox"], "model_keys": ["second", "yolox"]}),
        ("url: a, enabled: no", "{enabled: yes}", {"enabled": False}),
        ("url: a", "", {"fps": None}),
    ],
)  # fmt: skip
def test_stream_inherits_what_it_does_not_set(
    base: Path, options: str, defaults: str, expected: dict[str, Any]
) -> None:
    stream = one_stream(base, options, defaults)
    assert {name: getattr(stream, name) for name in expected} == expected


def test_stream_inherits_what_it_demands_of_certificates_key_by_key(base: Path) -> None:
    """And a relative path starts at the file."""
    (base / "ca.pem").touch()
    stream = one_stream(base, "url: 'rtsps://h', tls: {verify: true}", "{tls: {ca_file: ca.pem}}")
    assert stream.tls == StreamTlsConfig(verify=True, ca_file=str(base / "ca.pem"))
    stream = one_stream(base, "url: 'rtsps://h', tls: {ca_file: ca.pem}", "{tls: {verify: true}}")
    assert stream.tls == StreamTlsConfig(verify=True, ca_file=str(base / "ca.pem"))


@pytest.mark.parametrize(
    ("own", "root", "expected"),
    [
        ("", "", PublishConfig()),
        ("", "{max_rate: 5, empty: never}", PublishConfig(max_rate=5, empty="never")),
        ("publish: {max_rate: 1}", "{max_rate: 5, empty: never}", PublishConfig(max_rate=1, empty="never")),
        ("publish: {max_rate: null}", "{max_rate: 5}", PublishConfig(max_rate=None)),
    ],
)
def test_stream_inherits_of_publish_what_it_does_not_set(
    base: Path, own: str, root: str, expected: PublishConfig
) -> None:
    config = load(
        base,
        f"""
jsonl: {{path: "-"}}
models: {{yolox: {{path: m.onnx}}}}
publish: {root}
streams: [{{id: lobby, url: a, {own}}}]
""",
    )
    assert config.streams[0].publish == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("rtsp://${USER}:${PW}@h/${PATH}", "rtsp://me:p%40s%2Fs%23%25@h/a/b?c=d"),
        ("rtsp://${BOTH}@h/1", "rtsp://me:secret@h/1"),
        ("rtsp://u:${ENCODED}@h/1", "rtsp://u:p%40ss@h/1"),
        ("rtsp://${HOST}:554/1", "rtsp://10.0.0.7:554/1"),
        ("rtsp://h/${NOPE:-main}", "rtsp://h/main"),
        ("rtsp://h/${EMPTY:-main}", "rtsp://h/main"),
        ("rtsp://h/x${EMPTY}y", "rtsp://h/xy"),
        ("rtsp://h/${NOPE:-}", "rtsp://h/"),
        ("rtsp://h/$${USER}/$USER/$", "rtsp://h/${USER}/$USER/$"),
        ("rtsp://h/${STRUCTURE}", "rtsp://h/x, enabled: false}"),
    ],
)
def test_variables_are_filled_in_after_the_yaml_is_read(base: Path, written: str, expected: str) -> None:
    environ = {
        "USER": "me",
        "PW": "p@s/s#%",
        "BOTH": "me:secret",
        "ENCODED": "p%40ss",
        "HOST": "10.0.0.7",
        "PATH": "a/b?c=d",
        "EMPTY": "",
        "STRUCTURE": "x, enabled: false}",
    }
    stream = one_stream(base, f'url: "{written}"', **environ)
    assert stream.url.get_secret_value() == expected


def test_variables_stand_for_numbers_and_switches_too(base: Path) -> None:
    stream = one_stream(
        base, 'url: a, fps: "${FPS}", loop: "${LOOP}", confidence: {car: "${C:-0.2}"}', FPS="12.5", LOOP="on"
    )
    assert (stream.fps, stream.loop, stream.confidence) == (12.5, True, {"car": 0.2})


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("clips/a.mp4", "{base}/clips/a.mp4"),
        ("/abs/a.mp4", "/abs/a.mp4"),
        ("frames", "{base}/frames"),
        ("/dev/video0", "/dev/video0"),
        ("rtsp://h/1", "rtsp://h/1"),
        ("odd:name.mp4", "{base}/odd:name.mp4"),
    ],
)
def test_source_paths_start_at_the_folder_of_the_file(base: Path, written: str, expected: str) -> None:
    stream = one_stream(base, f'url: "{written}"')
    assert stream.url.get_secret_value() == expected.format(base=base)


def test_every_other_path_starts_there_too(base: Path) -> None:
    config = load(
        base,
        """
mqtt:
  url: mqtts://h
  username: u
  password_file: secret
  tls: {ca_file: ca.pem, cert_file: cert.pem, key_file: key.pem}
jsonl: {path: out.jsonl}
http: {token_file: secret}
models: {m: {path: m.onnx, labels: labels.txt}}
streams: [{id: a, url: "rtsp://h"}]
""",
    )
    assert config.mqtt is not None
    assert config.jsonl is not None
    tls = config.mqtt.tls
    files = (config.mqtt.password_file, tls.ca_file, tls.cert_file, tls.key_file, config.jsonl.path)
    assert files == tuple(
        f"{base}/{name}" for name in ("secret", "ca.pem", "cert.pem", "key.pem", "out.jsonl")
    )
    assert config.http.token_file == f"{base}/secret"
    assert config.http.token is not None
    assert config.models["m"].labels == f"{base}/labels.txt"


def test_load_config_resolves_from_the_file_when_its_own_path_is_relative(
    base: Path, minimal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (base / "c.yaml").write_text("\ufeff" + minimal, encoding="utf-8")
    monkeypatch.chdir(base)
    assert load_config(Path("c.yaml"), {}).models["yolox"].path == str(base / "m.onnx")


@pytest.mark.parametrize(
    ("mqtt", "url", "username", "password"),
    [
        ('url: "mqtt://h"', "mqtt://h", None, None),
        ('url: "mqtt://u:p%40ss@h:1884"', "mqtt://h:1884", "u", "p@ss"),
        ('url: "mqtts://u:${PW}@[::1]/"', "mqtts://[::1]:8883", "u", "a@b"),
        ('url: "mqtt://h", username: u, password: 1e5', "mqtt://h", "u", "1e5"),
        ('url: "mqtt://u@h", password: "${PW}"', "mqtt://h:1883", "u", "a@b"),
    ],
)
def test_broker_credentials_end_up_beside_the_url(
    base: Path, mqtt: str, url: str, username: str | None, password: str | None
) -> None:
    text = f"mqtt: {{{mqtt}}}\nmodels: {{m: {{path: m.onnx}}}}\nstreams: [{{id: a, url: x.mp4}}]"
    section = load(base, text, PW="a@b").mqtt
    assert section is not None
    given = section.password.get_secret_value() if section.password else None
    assert (section.url, section.username, given) == (url, username, password)


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n"])
def test_secret_file_loses_its_line_end_and_nothing_else(base: Path, minimal: str, ending: str) -> None:
    (base / "secret").write_bytes(f" p w ä{ending}".encode())
    token = load(base, minimal + "http: {token_file: secret}").http.token
    assert token is not None
    assert token.get_secret_value() == " p w ä"


def test_types_come_from_the_key_when_yaml_would_guess_otherwise(base: Path) -> None:
    config = load(
        base,
        """
mqtt: {url: "mqtt://h", protocol: 5, username: no, password: 007, client_id: 12:30, qos: "2"}
models: {8: {path: m.onnx, labels: [on, 1, null-ish]}}
streams: [{id: 007, url: x.mp4, model: 8, classes: [on, 1]}]
""",
    )
    assert config.mqtt is not None
    assert config.mqtt.password is not None
    assert (config.mqtt.protocol, config.mqtt.username, config.mqtt.client_id) == ("5", "no", "12:30")
    assert (config.mqtt.qos, config.mqtt.password.get_secret_value()) == (2, "007")
    assert (config.streams[0].id, config.streams[0].classes) == ("007", ["on", "1"])


def test_config_shows_no_secret_when_printed(base: Path) -> None:
    config = load(
        base,
        """
mqtt: {url: "mqtt://u:hunter2@h"}
http: {token: hunter2}
models: {m: {path: m.onnx}}
streams: [{id: a, url: "rtsp://u:hunter2@h"}]
""",
    )
    assert "hunter2" not in repr(config) + str(config) + config.model_dump_json()


def test_load_config_takes_no_byte_order_mark_for_content(base: Path, minimal: str) -> None:
    """As editors on Windows write them: the file, what it names and the folder of streams."""
    text = minimal.replace('"mqtt://127.0.0.1"', '"mqtt://u@h", password_file: secret').replace(
        "m.onnx", "m.onnx, labels: labels.txt"
    )
    (base / "c.yaml").write_text(f"\ufeff{text}\nstreams_dir: more\n", encoding="utf-8")
    (base / "secret").write_text("\ufeffhunter2hunter2\r\n", encoding="utf-8")
    (base / "labels.txt").write_text("\ufeffperson\r\ncar\r\n", encoding="utf-8")
    (base / "more").mkdir()
    stream = '{id: yard, url: "rtsp://h/2", classes: [person]}'
    (base / "more" / "yard.yaml").write_text(f"\ufeff{stream}", encoding="utf-8")
    config = load_config(base / "c.yaml", {})
    assert config.mqtt is not None
    assert config.mqtt.password is not None
    assert config.mqtt.password.get_secret_value() == "hunter2hunter2"
    assert [stream.id for stream in config.streams] == ["lobby", "yard"]
