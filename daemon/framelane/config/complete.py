"""What a file leaves unsaid: inherited options, the first model, absolute paths, the broker's credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import SecretStr

from framelane.config.address import AddressError, parse_broker, source_kind

if TYPE_CHECKING:
    from pathlib import Path

    from framelane.config.schema import (
        BackoffConfig,
        Config,
        HttpConfig,
        JsonlConfig,
        ModelConfig,
        MqttConfig,
        PublishConfig,
        StreamConfig,
        StreamOptions,
    )
    from framelane.config.stream_tls import StreamTlsConfig

_Section = TypeVar("_Section", "StreamConfig", "BackoffConfig", "StreamTlsConfig", "PublishConfig")
BUILT_IN_LABELS = ("auto", "coco")


def complete(written: Config, base_dir: Path) -> Config:
    """The configuration as the daemon uses it, where `written` is the file as it stands in `base_dir`."""
    return written.model_copy(
        update={
            "mqtt": written.mqtt and _complete_mqtt(written.mqtt, base_dir),
            "jsonl": written.jsonl and _complete_jsonl(written.jsonl, base_dir),
            "http": _complete_http(written.http, base_dir),
            **_absolute(base_dir, streams_dir=written.streams_dir),
            "models": {key: _complete_model(model, base_dir) for key, model in written.models.items()},
            "defaults": written.defaults.model_copy(
                update={"tls": _complete_tls(written.defaults.tls, base_dir)}
            ),
            "streams": [_complete_stream(stream, written, base_dir) for stream in written.streams],
        }
    )


def inherit(stream: StreamConfig, defaults: StreamOptions) -> StreamConfig:
    """The stream with the options of `defaults` that it doesn't set; `backoff` and `tls` are inherited key by key."""
    merged = _fill(stream, defaults)
    if "backoff" in stream.model_fields_set:
        merged = merged.model_copy(update={"backoff": _fill(stream.backoff, defaults.backoff)})
    if "tls" in stream.model_fields_set:
        merged = merged.model_copy(update={"tls": _fill(stream.tls, defaults.tls)})
    return merged


def _fill(
    section: _Section, defaults: StreamOptions | BackoffConfig | StreamTlsConfig | PublishConfig
) -> _Section:
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
            "model": stream.model if stream.model is not None else next(iter(written.models)),
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
        **_absolute(base_dir, path=model.path),
        "engine": engine.model_copy(update=files),
    }
    if isinstance(model.labels, str) and model.labels not in BUILT_IN_LABELS:
        update |= _absolute(base_dir, labels=model.labels)
    return model.model_copy(update=update)


def _complete_http(http: HttpConfig, base_dir: Path) -> HttpConfig:
    files = {name: getattr(http, name) for name in ("token_file", "cert_file", "key_file")}
    return http.model_copy(update=_absolute(base_dir, **files))


def _complete_jsonl(jsonl: JsonlConfig, base_dir: Path) -> JsonlConfig:
    return jsonl if jsonl.path == "-" else jsonl.model_copy(update=_absolute(base_dir, path=jsonl.path))


def _complete_mqtt(mqtt: MqttConfig, base_dir: Path) -> MqttConfig:
    """Absolute files, and credentials in `username` and `password` alone, so that the URL can be shown."""
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
