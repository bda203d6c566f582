"""Everything that can be wrong with a well-formed file: input -> exact findings."""

# ruff: noqa: E501, ISC004 - a table of messages reads best with each message whole

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from framelane.config.yaml.load import check_text, load_config
from framelane.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

NAME = "a name of 1 to 64 letters, digits, `.`, `_` or `-`, the first a letter or a digit"
ENVIRON = {"FPS": "ten", "PW": "hunter2hunter2"}


def findings(base: Path, **sections: str) -> list[str]:
    """Findings on the shortest good file with some sections replaced, written as YAML flow values."""
    good = {
        "mqtt": '{url: "mqtt://127.0.0.1"}',
        "models": "{yolox: {path: m.onnx}}",
        "streams": '[{id: lobby, url: "rtsp://10.0.0.7/1"}]',
    }
    text = "\n".join(f"{name}: {value}" for name, value in {**good, **sections}.items() if value != "absent")
    return [str(finding) for finding in check_text(text, base, ENVIRON).findings]


def stream(options: str) -> str:
    return f'[{{id: lobby, url: "rtsp://10.0.0.7/1", {options}}}]'


def source(url: str, options: str = "") -> str:
    return f'[{{id: lobby, url: "{url}", {options}}}]'


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({}, []),
        # snapshots and clips
        ({"media": "{folder: media}", "streams": stream("track: true, events: {}, snapshots: {}, clips: {}")}, []),
        ({"streams": stream("track: true, events: {}, snapshots: {}, clips: {}")}, [
            "streams[0].snapshots: has no effect without `media.folder`; set that, or remove this",
            "streams[0].clips: has no effect without `media.folder`; set that, or remove this"]),
        ({"media": "{folder: media}", "streams": stream("snapshots: {}")}, [
            "streams[0].snapshots: needs `track: true`, and `events`, lines or zones"]),
        ({"media": "{folder: media}", "streams": stream("track: true, clips: {}")}, [
            "streams[0].clips: needs `track: true`, and `events`, lines or zones"]),
        ({"media": "{url: gate-01}"}, [
            "media.url: expected http:// or https://, a host, and perhaps a path; got `gate-01`"]),
        # a bucket
        ({"media": "{folder: media, s3: {bucket: cams}}"}, []),
        ({"media": "{folder: media, s3: {endpoint: 'http://[::1]:9000', bucket: cams, access_key: a, secret_key: b}}"},
         []),
        ({"media": "{s3: {bucket: cams}}"}, [
            "media.s3: has no effect without `media.folder`; set that, or remove this"]),
        ({"media": "{folder: media, s3: {}}"}, ["media.s3.bucket: is missing; expected text"]),
        ({"media": "{folder: media, s3: {bucket: cams, endpoint: 's3.example'}}"}, [
            "media.s3.endpoint: expected http:// or https://, a host, and perhaps a port; got `s3.example`"]),
        ({"media": "{folder: media, s3: {bucket: cams, endpoint: 'https://u:hunter2@s3.example'}}"}, [
            "media.s3.endpoint: expected http:// or https://, a host, and perhaps a port; "
            "got `https://u:***@s3.example`"]),
        ({"media": "{folder: media, s3: {bucket: cams, endpoint: 'https://s3.example/cams'}}"}, [
            "media.s3.endpoint: expected http:// or https://, a host, and perhaps a port; "
            "got `https://s3.example/cams`"]),
        ({"media": "{folder: media, s3: {bucket: cams, public_url: cdn.example}}"}, [
            "media.s3.public_url: expected http:// or https://, a host, and perhaps a path; got `cdn.example`"]),
        ({"media": "{folder: media, s3: {bucket: cams, access_key: a}}"}, [
            "media.s3.secret_key_file: is missing; `access_key` needs its secret"]),
        ({"media": "{folder: media, s3: {bucket: cams, secret_key: a}}"}, [
            "media.s3.access_key: is missing; a secret needs the id of its key"]),
        ({"media": "{folder: media, s3: {bucket: cams, tls: {ca_file: no.pem}}}"}, [
            "media.s3.tls.ca_file: there is no such file: {base}/no.pem"]),
        ({"media": "{folder: media, s3: {bucket: cams, tls: {ca_file: m.onnx, verify: false}}}"}, [
            "media.s3.tls.ca_file: has no effect without `verify: true`"]),
        ({"media": "{folder: media, s3: {endpoint: 'http://h', bucket: cams, tls: {ca_file: m.onnx}}}"}, [
            "media.s3.tls.ca_file: has no effect without TLS; write https:// in `media.s3.endpoint`"]),
        # what must be there
        ({"models": "absent"}, ["models: is missing; expected a map of at least one"]),
        ({"streams": "absent"}, ["streams: is missing; expected a list of maps"]),
        ({"streams": "[]"}, ["streams: expected a list of maps; got an empty list"]),
        ({"streams": "[]", "http": '{listen: "127.0.0.1:0"}'}, []),
        ({"streams": "[]", "streams_dir": "streams.d"}, []),
        ({"streams": "[]", "http": '{listen: "127.0.0.1:0"}', "mqtt": "null"}, []),
        ({"streams": "[]", "mqtt": "null"}, [
            "results go nowhere; set `mqtt` or `jsonl`",
            "streams: expected a list of maps; got an empty list"]),
        ({"http": '{listen: "127.0.0.1:0", hosts: [gate.example, "http://gate", "gate:80", "10.0.0.1"]}'}, [
            "http.hosts[1]: expected a host name without scheme, port and path; got `http://gate`",
            "http.hosts[2]: expected a host name without scheme, port and path; got `gate:80`"]),
        ({"streams": ""}, ["streams: expected a list of maps; got nothing"]),
        ({"streams": "{a: b}"}, ["streams: expected a list of maps; got a map"]),
        ({"models": "{}"}, ["models: expected a map of at least one; got an empty map"]),
        ({"models": "{yolox: }"}, ["models.yolox.path: is missing; expected text"]),
        ({"mqtt": "{qos: 1}"}, ["mqtt.url: is missing; expected text"]),
        ({"mqtt": "absent"}, ["results go nowhere; set `mqtt` or `jsonl`"]),
        ({"mqtt": "", "jsonl": ""}, ["results go nowhere; set `mqtt` or `jsonl`"]),
        ({"mqtt": '"mqtt://u:hunter2@h"'}, ["mqtt: expected a map, or null; got `mqtt://u:***@h`"]),
        ({"streams": '[{url: "rtsp://h/1"}]'}, [f"streams[0].id: is missing; expected {NAME}"]),
        ({"streams": "[lobby]"}, ["streams[0]: expected a map; got `lobby`"]),
        # INT8 needs images if an engine may be built
        (
            {"models": "{yolox: {path: m.onnx, precision: int8}}"},
            ["models.yolox.engine.calibration: is missing; `precision: int8` needs a folder with at least 128 of your own images"],
        ),
        ({"models": "{yolox: {path: m.onnx, precision: int8, engine: {build: never}}}"}, []),
        ({"models": "{yolox: {path: m.onnx, precision: int8, backend: onnxruntime}}"}, []),
        # names
        ({"node": "{id: my node}"}, [f"node.id: expected {NAME}; got `my node`"]),
        ({"models": "{my model: {path: m.onnx}}"}, [f'models["my model"]: expected {NAME}; got `my model`']),
        ({"mqtt": '{url: "mqtt://h", prefix: a/#}'}, [
            "mqtt.prefix: expected topic levels without `#`, `+`, or `/` at an end; got `a/#`"]),
        ({"mqtt": '{url: "mqtt://h", prefix: /a}'}, [
            "mqtt.prefix: expected topic levels without `#`, `+`, or `/` at an end; got `/a`"]),
        # unknown keys
        ({"strems": "[]"}, ["strems: unknown key `strems`; did you mean `streams`?"]),
        ({"log": "{colour: red}"}, ["log.colour: unknown key `colour`; known keys: level, format and stats"]),
        ({"streams": stream("confidense: 0.5")}, [
            "streams[0].confidense: unknown key `confidense`; did you mean `confidence`?"]),
        ({"streams": stream("Loop: yes")}, ["streams[0].Loop: unknown key `Loop`; did you mean `loop`?"]),
        ({"streams": '[{id: lobby, ulr: "rtsp://u:hunter2@h"}]'}, [
            "streams[0].ulr: unknown key `ulr`; did you mean `url`?"]),
        ({"models": "{yolox: {pth: m.onnx}}"}, ["models.yolox.pth: unknown key `pth`; did you mean `path`?"]),
        ({"x-anchors": "{whatever: 1}"}, []),
        # types and ranges
        ({"mqtt": '{url: "mqtt://h", qos: 3}'}, ["mqtt.qos: expected `0`, `1` or `2`; got `3`"]),
        ({"mqtt": '{url: "mqtt://h", protocol: 4}'}, ["mqtt.protocol: expected `5` or `3.1.1`; got `4`"]),
        ({"mqtt": '{url: "mqtt://h", keepalive_s: 2.5}'}, [
            "mqtt.keepalive_s: expected a whole number from 5 to 3600; got `2.5`"]),
        ({"mqtt": '{url: "mqtt://h", expiry_s: -1}'}, [
            "mqtt.expiry_s: expected a whole number from 0 to 4294967295; got `-1`"]),
        ({"mqtt": '{url: "mqtt://h", password: [hunter2]}'}, ["mqtt.password: expected text or null; got a list of 1"]),
        ({"mqtt": '{url: ""}'}, ["mqtt.url: expected text; got an empty text"]),
        ({"mqtt": '{url: "mqtt://h", tls: {verify: 2}}'}, ["mqtt.tls.verify: expected `true` or `false`; got `2`"]),
        ({"streams": stream("fps: fast")}, ["streams[0].fps: expected a number above 0 and at most 1000, or null; got `fast`"]),
        ({"streams": stream("fps: true")}, ["streams[0].fps: expected a number above 0 and at most 1000, or null; got `true`"]),
        ({"streams": stream("fps: .nan")}, ["streams[0].fps: expected a number above 0 and at most 1000, or null; got `.nan`"]),
        ({"streams": stream("fps: nan")}, ["streams[0].fps: expected a number above 0 and at most 1000, or null; got `nan`"]),
        ({"streams": stream("fps: inf")}, ["streams[0].fps: expected a number above 0 and at most 1000, or null; got `inf`"]),
        ({"streams": stream('fps: "${FPS}"')}, [
            "streams[0].fps: expected a number above 0 and at most 1000, or null; got what `${FPS}` holds"]),
        ({"streams": stream("enabled: maybe")}, ["streams[0].enabled: expected `true` or `false`; got `maybe`"]),
        ({"streams": stream("enabled: ")}, ["streams[0].enabled: expected `true` or `false`; got nothing"]),
        ({"streams": stream("decode: gpu")}, ["streams[0].decode: expected `auto`, `nvdec` or `cpu`; got `gpu`"]),
        ({"streams": stream("classes: person")}, [
            "streams[0].classes: expected a list of texts, at least one, or null; got `person`"]),
        ({"streams": stream("classes: []")}, [
            "streams[0].classes: expected a list of texts, at least one, or null; got an empty list"]),
        ({"streams": stream("confidence: {person: 2, car: [1]}")}, [
            "streams[0].confidence.person: expected a number from 0 to 1; got `2`",
            "streams[0].confidence.car: expected a number from 0 to 1; got a list of 1"]),
        ({"streams": stream("confidence: [1]")}, [
            "streams[0].confidence: expected a number from 0 to 1, or a map from names to a number from 0 to 1, or null; "
            "got a list of 1"]),
        ({"streams": stream("backoff: 5")}, ["streams[0].backoff: expected a map; got `5`"]),
        ({"streams": stream("ffmpeg: {headers: [hunter2]}")}, [
            "streams[0].ffmpeg.headers: expected text; got a list of 1"]),
        ({"models": "{yolox: {path: m.onnx, size: [640]}}"}, [
            "models.yolox.size: expected a list of 2 items, each a whole number from 32 to 4096, or null; got a list of 1"]),
        ({"models": "{yolox: {path: m.onnx, size: [640, 5000]}}"}, [
            "models.yolox.size[1]: expected a whole number from 32 to 4096; got `5000`"]),
        ({"models": "{yolox: {path: m.onnx, labels: {a: b}}}"}, [
            "models.yolox.labels: expected text, or a list of texts, at least one; got a map"]),
        ({"jsonl": "{path: '-', kinds: [detections, stat]}"}, [
            "jsonl.kinds[1]: expected `detections`, `events`, `zones`, `lines`, `state`, `stats` or `status`; got `stat`"]),
        ({"log": "{level: " + "x" * 100 + "}"}, [
            "log.level: expected `debug`, `info`, `warning` or `error`; got `" + "x" * 60 + "...`"]),
        # defaults: once, not for every stream
        ({"defaults": "{fps: -1}", "streams": "[{id: a, url: 'rtsp://h'}, {id: b, url: 'rtsp://h'}]"}, [
            "defaults.fps: expected a number above 0 and at most 1000, or null; got `-1`"]),
        ({"defaults": "{model: yolo}", "streams": "[{id: a, url: 'rtsp://h'}, {id: b, url: 'rtsp://h'}]"}, [
            "defaults.model: unknown model `yolo`; did you mean `yolox`?"]),
        ({"defaults": "{loop: true, realtime: false}"}, []),
        ({"defaults": "{backoff: {most_s: 0.5}}"}, ["defaults.backoff: first_s (1) is more than most_s (0.5)"]),
        # crop
        ({"streams": stream("crop: [0.25, 0, 1, 0.5]")}, []),
        ({"streams": stream("crop: [0.5, 0, 0.25, 1]")}, [
            "streams[0].crop: left (0.5) must be less than right (0.25)"]),
        ({"defaults": "{crop: [1, 0.5, 1, 0.5]}"}, [
            "defaults.crop: left (1) must be less than right (1)",
            "defaults.crop: top (0.5) must be less than bottom (0.5)"]),
        ({"streams": stream("crop: [0, 0, 1]")}, [
            "streams[0].crop: expected a list of 4 items, each a number from 0 to 1, or null; got a list of 3"]),
        ({"streams": stream("crop: [0, 0, 1920, 1]")}, [
            "streams[0].crop[2]: expected a number from 0 to 1; got `1920`"]),
        # variables
        ({"streams": source("rtsp://u:${NOPE}@h/1")}, [
            "streams[0].url: the environment has no variable `NOPE`; set it, or write `${NOPE:-fallback}`"]),
        ({"streams": source("rtsp://u:${no pe}@h/1")}, [
            "streams[0].url: `${` doesn't begin a `${NAME}` or `${NAME:-fallback}`; write `$${` for a literal `${`"]),
        ({"log": '{level: "${NOPE"}'}, [
            "log.level: `${` doesn't begin a `${NAME}` or `${NAME:-fallback}`; write `$${` for a literal `${`"]),
        # streams
        ({"streams": "[{id: a, url: 'rtsp://h'}, {id: b, url: 'rtsp://h'}, {id: a, url: 'rtsp://h'}]"}, [
            "streams[2].id: `a` is already the id of streams[0]"]),
        ({"streams": stream("model: yolo")}, ["streams[0].model: unknown model `yolo`; did you mean `yolox`?"]),
        ({"streams": stream("model: [yolox, rtdetr]")}, [
            "streams[0].model[1]: unknown model `rtdetr`; known models: yolox"]),
        ({"streams": stream("model: [yolox, yolox]")}, ["streams[0].model[1]: `yolox` is named twice"]),
        ({"streams": stream("model: yolox"), "models": "{yolox: {path: m.onnx, batch: -1}}"}, [
            "models.yolox.batch: expected a whole number from 0 to 256; got `-1`"]),
        ({"streams": stream("model: yolox"), "models": "{yolox: 5}"}, ["models.yolox: expected a map; got `5`"]),
        ({"streams": stream("loop: true")}, [
            "streams[0].loop: has no effect: an RTSP stream has no end; remove it"]),
        ({"streams": stream("realtime: false")}, [
            "streams[0].realtime: has no effect: an RTSP stream is always live; remove it"]),
        ({"streams": "[{id: a, url: /dev/video0, loop: true}]"}, [
            "streams[0].loop: has no effect: a device has no end; remove it"]),
        ({"streams": "[{id: a, url: clip.mp4, loop: true, realtime: false}]"}, []),
        ({"streams": stream("backoff: {first_s: 100}")}, [
            "streams[0].backoff: first_s (100) is more than most_s (60)"]),
        # certificates of cameras
        ({"streams": source("rtsps://h/1", "tls: {verify: true}")}, []),
        ({"streams": source("https://h/1", "tls: {verify: true, ca_file: ca.pem}")}, []),
        ({"streams": source("rtsps://h/1", "tls: {ca_file: ca.pem}")}, [
            "streams[0].tls.ca_file: has no effect without `verify: true`"]),
        ({"streams": source("rtsps://h/1", "tls: {ca_file: ca.pem}"), "defaults": "{tls: {verify: true}}"}, []),
        ({"streams": source("rtsps://h/1", "tls: {verify: true}"), "defaults": "{tls: {ca_file: ca.pem}}"}, []),
        ({"streams": source("rtsps://h/1", "tls: {verify: false}"),
          "defaults": "{tls: {verify: true, ca_file: ca.pem}}"}, [
            "defaults.tls.ca_file: has no effect without `verify: true`"]),
        ({"defaults": "{tls: {verify: true, ca_file: ca.pem}}"}, []),
        ({"defaults": "{tls: {ca_file: ca.pem}}"}, ["defaults.tls.ca_file: has no effect without `verify: true`"]),
        ({"streams": stream("tls: {verify: true}")}, [
            "streams[0].tls.verify: has no effect without TLS; write rtsps:// or https:// in `url`"]),
        # a sub-stream
        ({"streams": source("rtsp://h/1", "preview_url: rtsps://u:hunter2@h/2, tls: {verify: true}")}, []),
        ({"streams": source("clip.mp4", "preview_url: rtsp://h/2")}, []),
        ({"streams": source("rtsp://h/1", "preview_url: clip.mp4")}, [
            "streams[0].preview_url: expected rtsp:// or rtsps://; the page plays no other sub-streams"]),
        ({"streams": source("rtsp://h/1", "preview_url: http://u:hunter2@h/2.m3u8")}, [
            "streams[0].preview_url: expected rtsp:// or rtsps://; the page plays no other sub-streams"]),
        ({"streams": source("rtsp:///1", "preview_url: rtmp://u:hunter2@h/2")}, [
            "streams[0].url: has no host",
            "streams[0].preview_url: RTMP is not supported; use the server's rtsp:// URL"]),
        ({"streams": source("rtsp://h/1", "preview_url: [rtsp://u:hunter2@h/2]")}, [
            "streams[0].preview_url: expected text or null; got a list of 1"]),
        # a switch is a word, not a number or a letter
        ({"streams": stream("enabled: 1")}, ["streams[0].enabled: expected `true` or `false`; got `1`"]),
        ({"mqtt": '{url: "mqtts://h", tls: {verify: 1}}'}, ["mqtt.tls.verify: expected `true` or `false`; got `1`"]),
        ({"mqtt": '{url: "mqtt://h", spool: {enabled: t}}'}, ["mqtt.spool.enabled: expected `true` or `false`; got `t`"]),
        ({"http": '{detect: {enabled: "y"}}'}, ["http.detect.enabled: expected `true` or `false`; got `y`"]),
        ({"node": "{exit_when_ended: 0}"}, ["node.exit_when_ended: expected `true` or `false`; got `0`"]),
        # the listener's certificate
        ({"http": "{cert_file: cert.pem, key_file: key.pem}"}, [
            "http.cert_file: has no effect without `listen`; set that, or remove this",
            "http.key_file: has no effect without `listen`; set that, or remove this"]),
        ({"http": '{listen: "nowhere", cert_file: no.pem}'}, [
            "http.key_file: is missing; `cert_file` needs its key",
            "http.listen: expected host:port, such as 127.0.0.1:8080 or [::1]:8080; got `nowhere`",
            "http.cert_file: there is no such file: {base}/no.pem"]),
        # faulty values cause no further findings
        ({"http": '{listen: "0.0.0.0:80", token: [x]}'}, ["http.token: expected text or null; got a list of 1"]),
        ({"http": '{listen: "0.0.0.0:80", token_file: {a: b}}'}, ["http.token_file: expected text or null; got a map"]),
        ({"http": "{listen: [1], cert_file: cert.pem, key_file: key.pem}"}, [
            "http.listen: expected text or null; got a list of 1"]),
        ({"mqtt": '{url: "${NOPE}", tls: {ca_file: ca.pem}}'}, [
            "mqtt.url: the environment has no variable `NOPE`; set it, or write `${NOPE:-fallback}`"]),
        ({"streams": source("rtsps://${NOPE}/1", "tls: {verify: true}")}, [
            "streams[0].url: the environment has no variable `NOPE`; set it, or write `${NOPE:-fallback}`"]),
        ({"streams": source("rtsps://h/1", "tls: {ca_file: ca.pem}"), "defaults": "{tls: {verify: 2}}"}, [
            "defaults.tls.verify: expected `true` or `false`; got `2`"]),
        ({"models": "{yolox: {path: m.onnx, precision: int8, backend: onnx}}"}, [
            "models.yolox.backend: expected `auto`, `tensorrt` or `onnxruntime`; got `onnx`"]),
        ({"streams": "absent", "streams_dir": '"${NOPE}"'}, [
            "streams_dir: the environment has no variable `NOPE`; set it, or write `${NOPE:-fallback}`"]),
        ({"gpus": "[-1]", "streams": stream("crop: [1, 0, 0, 1]")}, [
            "streams[0].crop: left (1) must be less than right (0)",
            "gpus[0]: expected a whole number from 0 to 63; got `-1`"]),
        ({"mqtt": '{url: "mqtts://h", tls: {verify: 2, ca_file: no.pem}}'}, [
            "mqtt.tls.verify: expected `true` or `false`; got `2`",
            "mqtt.tls.ca_file: there is no such file: {base}/no.pem"]),
        # sources
        (
            {"streams": source("rtmp://h/1")},
            ["streams[0].url: RTMP is not supported; use the server's rtsp:// URL"],
        ),
        ({"streams": source("SRT://h:1")}, ["streams[0].url: SRT is not supported; use the server's rtsp:// URL"]),
        (
            {"streams": source("rtspu://h/1")},
            ["streams[0].url: `rtspu` is not supported; use rtsp:// with `transport: udp`"],
        ),
        ({"streams": source("rstp://h/1")}, ["streams[0].url: unsupported scheme `rstp`; did you mean `rtsp`?"]),
        ({"streams": source("ftp://h/1")}, [
            "streams[0].url: unsupported scheme `ftp`; expected rtsp, rtsps, http, https, the path of a file or of "
            "a folder of images or /dev/videoN"]),
        ({"streams": source("rtsp:///1")}, ["streams[0].url: has no host"]),
        ({"streams": source("rtsp://")}, ["streams[0].url: has no host"]),
        ({"streams": source("rtsp:/h/1")}, ["streams[0].url: expected `://` after the scheme"]),
        ({"streams": source("rtsp://h:99999/1")}, ["streams[0].url: the port is not a number from 1 to 65535"]),
        ({"streams": source("rtsp://u:pa/hunter2@h/1")}, [
            "streams[0].url: the port is not a number from 1 to 65535; percent-encode `/ ? # @ [ ]` in a password"]),
        ({"streams": source("rtsp://u:[hunter2@h/1")}, [
            "streams[0].url: the host is not a valid name or address; percent-encode `/ ? # @ [ ]` in a password"]),
        ({"streams": source("rtsp://u:hunter2@my host/1")}, ["streams[0].url: the host contains a space"]),
        ({"streams": source("rtsp://u:${PW}@[fe80::1]:554/1")}, []),
        ({"streams": source("https://h/live.m3u8")}, []),
        ({"streams": source("/dev/video0")}, []),
        ({"streams": source("no/such/file.mp4")}, []),
        # labels
        ({"models": "{yolox: {path: m.onnx, labels: [person, car]}}",
          "streams": stream("classes: [persn, car], confidence: {dog: 0.5, car: 0.1}")}, [
            "streams[0].classes[0]: unknown label `persn`; did you mean `person`?",
            "streams[0].confidence.dog: unknown label `dog`; known labels: person and car"]),
        ({"models": "{yolox: {path: m.onnx, labels: [person]}, b: {path: m.onnx, labels: [car]}}",
          "streams": stream("model: [yolox, b], classes: [person, car]")}, []),
        ({"models": "{yolox: {path: m.onnx, labels: [person]}, b: {path: m.onnx, labels: auto}}",
          "streams": stream("model: [yolox, b], classes: [anything]")}, []),
        ({"models": "{yolox: {path: m.onnx, labels: [person]}}", "defaults": "{classes: [persn]}"}, [
            "defaults.classes[0]: unknown label `persn`; did you mean `person`?"]),
        ({"models": "{yolox: {path: m.onnx, labels: labels.txt}}", "streams": stream("classes: [persn]")}, [
            "streams[0].classes[0]: unknown label `persn`; did you mean `person`?"]),
        ({"models": "{yolox: {path: m.onnx, labels: [person]}, b: {path: m.onnx, labels: [car]}}",
          "mqtt": '{url: "mqtt://h", homeassistant: {classes: [car, persn]}}'}, [
            "mqtt.homeassistant.classes[1]: unknown label `persn`; did you mean `person`?"]),
        ({"mqtt": '{url: "mqtt://h", homeassistant: {enabled: true, classes: [persn]}}'}, []),
        ({"mqtt": '{url: "mqtt://h", homeassistant: {enabled: true, prefix: "home/#"}}'}, [
            "mqtt.homeassistant.prefix: expected topic levels without `#`, `+`, or `/` at an end; got `home/#`"]),
        # broker
        ({"mqtt": "{url: 127.0.0.1}"}, ["mqtt.url: has no scheme; write mqtt://host or mqtts://host"]),
        ({"mqtt": '{url: "mqt://h"}'}, ["mqtt.url: unsupported scheme `mqt`; did you mean `mqtt`?"]),
        ({"mqtt": '{url: "ws://h"}'}, ["mqtt.url: unsupported scheme `ws`; expected mqtt or mqtts"]),
        ({"mqtt": '{url: "mqtt://:1883"}'}, ["mqtt.url: has no host"]),
        ({"mqtt": '{url: "mqtt://h:0"}'}, ["mqtt.url: the port is not a number from 1 to 65535"]),
        ({"mqtt": '{url: "mqtt://h/framelane"}'}, [
            "mqtt.url: has a path; an MQTT URL ends after the port (topics begin with `prefix`)"]),
        ({"mqtt": '{url: "mqtt://u:hunter2@h", username: u, password: hunter2}'}, [
            "mqtt.username: `mqtt.url` contains a user name too; keep one",
            "mqtt.password: `mqtt.url` contains a password too; keep one"]),
        ({"mqtt": '{url: "mqtt://h", password: hunter2}'}, ["mqtt.username: is missing; a password needs a user name"]),
        ({"mqtt": '{url: "mqtt://u@h", password_file: secret}'}, []),
        ({"mqtt": '{url: "mqtt://h", tls: {ca_file: ca.pem}}'}, [
            "mqtt.tls.ca_file: has no effect without TLS; write mqtts:// in `mqtt.url`"]),
        ({"mqtt": '{url: "mqtts://h", tls: {cert_file: cert.pem}}'}, [
            "mqtt.tls.key_file: is missing; `cert_file` needs its key"]),
        ({"mqtt": '{url: "mqtts://h", tls: {key_file: key.pem}}'}, [
            "mqtt.tls.cert_file: is missing; `key_file` needs its certificate"]),
        ({"mqtt": '{url: "mqtts://h", tls: {ca_file: ca.pem, cert_file: cert.pem, key_file: key.pem}}'}, []),
        # ONVIF
        ({"onvif": "{enabled: true}"}, []),
        ({"onvif": "{enabled: true}", "mqtt": "absent", "jsonl": "{path: '-'}"}, [
            "onvif.enabled: has no effect without `mqtt`; set that, or remove this"]),
        ({"onvif": "{enable: true}"}, ["onvif.enable: unknown key `enable`; did you mean `enabled`?"]),
        # HTTP
        ({"http": '{listen: "127.0.0.1:8080", cert_file: cert.pem}'}, [
            "http.key_file: is missing; `cert_file` needs its key"]),
        ({"http": '{listen: "127.0.0.1:8080", key_file: key.pem}'}, [
            "http.cert_file: is missing; `key_file` needs its certificate"]),
        ({"http": '{listen: "127.0.0.1:8080", cert_file: cert.pem, key_file: key.pem}'}, []),
        ({"http": '{listen: "127.0.0.1:8080"}'}, []),
        ({"http": '{listen: "[::1]:8080"}'}, []),
        ({"http": '{listen: "localhost:0"}'}, []),
        ({"http": '{listen: ":8080"}'}, [
            "http.listen: expected host:port, such as 127.0.0.1:8080 or [::1]:8080; got `:8080`"]),
        ({"http": "{listen: 8080}"}, [
            "http.listen: expected host:port, such as 127.0.0.1:8080 or [::1]:8080; got `8080`"]),
        ({"http": '{listen: "h:70000"}'}, [
            "http.listen: expected host:port, such as 127.0.0.1:8080 or [::1]:8080; got `h:70000`"]),
        ({"http": '{listen: "0.0.0.0:8080"}'}, [
            "http.listen: `0.0.0.0` is reachable from other hosts; set `http.token_file`, or listen on 127.0.0.1"]),
        ({"http": '{listen: "0.0.0.0:8080", token_file: secret}'}, []),
        ({"http": '{listen: "0.0.0.0:8080", token: "${PW}"}'}, []),
    ],
)  # fmt: skip
def test_check_says_exactly_what_is_wrong(base: Path, sections: dict[str, str], expected: list[str]) -> None:
    assert findings(base, **sections) == [line.replace("{base}", str(base)) for line in expected]


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"models": "{yolox: {path: no.onnx}}"}, "models.yolox.path: there is no such file: {base}/no.onnx"),
        ({"models": "{yolox: {path: .}}"}, "models.yolox.path: is a folder, not a file: {base}"),
        (
            {"models": "{yolox: {path: m.onnx, labels: no.txt}}"},
            "models.yolox.labels: there is no such file: {base}/no.txt",
        ),
        (
            {"streams": source("rtsps://h/1", "tls: {verify: true, ca_file: no.pem}")},
            "streams[0].tls.ca_file: there is no such file: {base}/no.pem",
        ),
        (
            {"defaults": "{tls: {verify: true, ca_file: no.pem}}"},
            "defaults.tls.ca_file: there is no such file: {base}/no.pem",
        ),
        (
            {"mqtt": '{url: "mqtts://h", tls: {ca_file: no.pem}}'},
            "mqtt.tls.ca_file: there is no such file: {base}/no.pem",
        ),
        (
            {"mqtt": '{url: "mqtt://u@h", password_file: no}'},
            "mqtt.password_file: can't read {base}/no: No such file or directory",
        ),
        ({"mqtt": '{url: "mqtt://u@h", password_file: empty}'}, "mqtt.password_file: {base}/empty is empty"),
        ({"http": "{token_file: binary}"}, "http.token_file: {base}/binary is not UTF-8 text"),
        ({"http": '{token: ""}'}, "http.token: is empty; remove it"),
        ({"mqtt": '{url: "mqtt://u@h", password: " "}'}, "mqtt.password: is empty; remove it"),
        ({"http": "{token: a, token_file: secret}"}, "http.token_file: both `token` and `token_file` are set; keep one"),
    ],
)  # fmt: skip
def test_check_shows_the_whole_path_of_a_missing_file(
    base: Path, sections: dict[str, str], expected: str
) -> None:
    assert findings(base, **sections) == [expected.format(base=base)]


def test_load_raises_all_findings_at_once_in_the_order_of_the_file(base: Path) -> None:
    file = base / "bad.yaml"
    file.write_text("""\
streams:
  - {id: lobby, url: "rtsp://u:${NOPE}@10.0.0.7/1", model: yolo, confidense: 0.5}
  - {id: lobby, url: "rstp://h/1"}
  - {url: street.mp4, loop: maybe}
models:
  yolox: {path: no.onnx, batch: -1}
http: {listen: "0.0.0.0:80"}
node: {id: my node}
mqtt: {url: "mqtt://h", qos: 3}
""")
    with pytest.raises(ConfigError) as caught:
        load_config(file, {})
    assert [finding.path for finding in caught.value.findings] == [
        "streams[0].url",
        "streams[0].model",
        "streams[0].confidense",
        "streams[1].id",
        "streams[1].url",
        "streams[2].id",
        "streams[2].loop",
        "models.yolox.path",
        "models.yolox.batch",
        "http.listen",
        "node.id",
        "mqtt.qos",
    ]
    assert caught.value.exit_code == 2


def test_check_gives_the_line_of_each_finding(base: Path) -> None:
    text = "mqtt: {url: 'mqtt://h'}\nmodels:\n  yolox:\n    path: m.onnx\n    batch: -1\nstreams:\n- url: x.mp4\n"
    report = check_text(text, base, {})
    assert {each.path: each.line for each in report.findings} == {"models.yolox.batch": 5, "streams[0].id": 7}


@pytest.mark.parametrize("field", ["url", "password", "token", "ffmpeg"])
def test_no_finding_shows_a_secret(base: Path, field: str) -> None:
    text = f"""
mqtt: {{url: "mqtt://h:x", username: u, password: {{a: hunter2}}, {field}s: hunter2}}
http: {{token: [hunter2]}}
models: {{m: {{path: m.onnx}}}}
streams:
  - {{id: a, url: "rtsp://u:hunter2@h:port/"}}
  - {{id: "rtsp://u:hunter2@h/", url: [hunter2], ffmpeg: {{x: hunter2, y: [hunter2]}}}}
  - {{id: b, url: "hunter2://u"}}
"""
    report = check_text(text, base, {})
    shown = "\n".join(str(finding) for finding in report.findings if finding.path != "streams[2].url")
    assert "hunter2" not in shown
    assert len(report.findings) >= 6


def test_check_text_raises_nothing_when_text_is_torn(base: Path, minimal: str) -> None:
    draw = random.Random(7)
    alphabet = "{}[]:,-#&*!|>'\"%@` \n\tax0.$~?\\<é\x00"
    for _ in range(300):
        text = minimal
        for _ in range(draw.randint(1, 4)):
            place = draw.randrange(len(text))
            text = (
                text[:place] + draw.choice(alphabet) * draw.randint(0, 2) + text[place + draw.randint(0, 3) :]
            )
        report = check_text(text, base, {})
        assert bool(report.findings) == (report.config is None), text
