"""Fills in what a file leaves out: inherited options, the first model, absolute paths, broker credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import SecretStr

from framelane.config.address import AddressError, parse_broker, source_kind
from framelane.config.built_in_models import model_file
from framelane.config.second_models import firsts_first

if TYPE_CHECKING:
    from pathlib import Path

    from framelane.config.sections.http import HttpConfig
    from framelane.config.sections.jsonl import JsonlConfig
    from framelane.config.sections.media import MediaConfig
    from framelane.config.sections.model import ModelConfig
    from framelane.config.sections.mqtt import MqttConfig
    from framelane.config.sections.schema import Config
    from framelane.config.sections.section import Section
    from framelane.config.sections.stream import StreamConfig, StreamOptions
    from framelane.config.sections.stream_tls import StreamTlsConfig

_Section = TypeVar("_Section", bound="Section")
BUILT_IN_LABELS = ("auto", "coco")


def complete(written: Config, base_dir: Path) -> Config:
    """Return the configuration as the daemon uses it; relative paths in `written` start at `base_dir`."""
    return written.model_copy(
        update={
            "mqtt": written.mqtt and _complete_mqtt(written.mqtt, base_dir),
            "jsonl": written.jsonl and _complete_jsonl(written.jsonl, base_dir),
            "http": _complete_http(written.http, base_dir),
            "media": _complete_media(written.media, base_dir),
            **_absolute(base_dir, streams_dir=written.streams_dir),
            "journal": written.journal.model_copy(update=_absolute(base_dir, folder=written.journal.folder)),
            "models": {key: _complete_model(model, base_dir) for key, model in written.models.items()},
            "defaults": written.defaults.model_copy(
                update={"tls": _complete_tls(written.defaults.tls, base_dir)}
            ),
            "streams": [_complete_stream(stream, written, base_dir) for stream in written.streams],
        }
    )


def inherit(stream: StreamConfig, defaults: StreamOptions) -> StreamConfig:
    """Return the stream with unset options taken from `defaults`.

    `backoff`, `tls` and `events` inherit key by key; `events: null` stays null.
    """
    own = stream.model_fields_set
    update: dict[str, Section] = {}
    if "backoff" in own:
        update["backoff"] = _fill(stream.backoff, defaults.backoff)
    if "tls" in own:
        update["tls"] = _fill(stream.tls, defaults.tls)
    if "events" in own and stream.events is not None and defaults.events is not None:
        update["events"] = _fill(stream.events, defaults.events)
    return _fill(stream, defaults).model_copy(update=update)


def _fill(section: _Section, defaults: Section) -> _Section:
    names = defaults.model_fields_set - section.model_fields_set
    return section.model_copy(update={name: getattr(defaults, name) for name in names})


def _complete_stream(stream: StreamConfig, written: Config, base_dir: Path) -> StreamConfig:
    stream = inherit(stream, written.defaults)
    url = stream.url.get_secret_value()
    try:
        is_path = source_kind(url) == "path"
    except AddressError:
        is_path = False
    return stream.model_copy(
        update={
            "model": stream.model if stream.model is not None else firsts_first(written.models)[0],
            "url": SecretStr(str(base_dir / url)) if is_path else stream.url,
            "publish": _fill(stream.publish, written.publish),
            "tls": _complete_tls(stream.tls, base_dir),
        }
    )


def _complete_tls(tls: StreamTlsConfig, base_dir: Path) -> StreamTlsConfig:
    return tls.model_copy(update=_absolute(base_dir, ca_file=tls.ca_file))


def _complete_model(model: ModelConfig, base_dir: Path) -> ModelConfig:
    engine = model.engine
    files = _absolute(base_dir, folder=engine.folder, calibration=engine.calibration)
    update: dict[str, object] = {
        "path": str(model_file(model.path, base_dir)),
        "engine": engine.model_copy(update=files),
    }
    if isinstance(model.labels, str) and model.labels not in BUILT_IN_LABELS:
        update |= _absolute(base_dir, labels=model.labels)
    return model.model_copy(update=update)


def _complete_http(http: HttpConfig, base_dir: Path) -> HttpConfig:
    files = {name: getattr(http, name) for name in ("token_file", "cert_file", "key_file")}
    folders = http.source_folders and [str(base_dir / folder) for folder in http.source_folders]
    return http.model_copy(update={**_absolute(base_dir, **files), "source_folders": folders})


def _complete_media(media: MediaConfig, base_dir: Path) -> MediaConfig:
    s3 = media.s3
    if s3 is not None:
        tls = s3.tls.model_copy(update=_absolute(base_dir, ca_file=s3.tls.ca_file))
        files = _absolute(base_dir, secret_key_file=s3.secret_key_file)
        s3 = s3.model_copy(update={**files, "tls": tls})
    return media.model_copy(update={**_absolute(base_dir, folder=media.folder), "s3": s3})


def _complete_jsonl(jsonl: JsonlConfig, base_dir: Path) -> JsonlConfig:
    return jsonl if jsonl.path == "-" else jsonl.model_copy(update=_absolute(base_dir, path=jsonl.path))


def _complete_mqtt(mqtt: MqttConfig, base_dir: Path) -> MqttConfig:
    """Make paths absolute; move credentials to `username` and `password`, so that the URL can be shown."""
    tls = mqtt.tls
    files = _absolute(base_dir, ca_file=tls.ca_file, cert_file=tls.cert_file, key_file=tls.key_file)
    update: dict[str, object] = {
        **_absolute(base_dir, password_file=mqtt.password_file),
        "tls": tls.model_copy(update=files),
        "spool": mqtt.spool.model_copy(update=_absolute(base_dir, folder=mqtt.spool.folder)),
    }
    try:
        address = parse_broker(mqtt.url)
    except AddressError:
        return mqtt.model_copy(update=update)
    if address.username is not None:
        update["username"] = address.username
    if address.password is not None:
        update["password"] = SecretStr(address.password)
    if address.username is not None or address.password is not None:
        update["url"] = address.url
    return mqtt.model_copy(update=update)


def _absolute(base_dir: Path, **paths: str | None) -> dict[str, str]:
    return {name: str(base_dir / path) for name, path in paths.items() if path is not None}
