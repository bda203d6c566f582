"""Finds faults that types can't express: parts that don't fit each other, and missing files."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from framelane.config.address import (
    AddressError,
    BrokerAddress,
    is_loopback,
    parse_broker,
    parse_listen,
    source_kind,
)
from framelane.config.checks.files import file_faults
from framelane.config.checks.inheritance import BUILT_IN_LABELS
from framelane.config.checks.labels import known_labels
from framelane.config.checks.media import footage_faults, media_faults
from framelane.config.checks.rules import rule_faults
from framelane.config.checks.second_models import not_of_frames, second_model_faults
from framelane.config.keypath import KeyPath, Problem
from framelane.config.named_labels import labels_of, listed_labels
from framelane.config.sections.sinks import SINKS
from framelane.config.suggest import listed, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from framelane.config.checks.checked import Checked
    from framelane.config.sections.backoff import BackoffConfig
    from framelane.config.sections.homeassistant import HomeAssistantConfig
    from framelane.config.sections.http import HttpConfig
    from framelane.config.sections.model import ModelConfig
    from framelane.config.sections.mqtt import MqttConfig
    from framelane.config.sections.mqtt_tls import TlsConfig
    from framelane.config.sections.schema import Config
    from framelane.config.sections.stream import StreamConfig, StreamOptions


def find_faults(checked: Checked) -> list[Problem]:
    """Return everything that keeps the configuration from being used."""
    config, written = checked.config, checked.written
    faults = [_sinks(config), _onvif(written), _http(checked), media_faults(checked), _stream_ids(checked)]
    if written.mqtt is not None:
        faults += [
            _broker(checked, written.mqtt),
            _tls_files(config.mqtt.tls if config.mqtt else written.mqtt.tls),
        ]
        faults.append(_homeassistant(checked, written.mqtt.homeassistant))
    faults += [_model_files(checked, key, model) for key, model in config.models.items()]
    faults += [_options(checked, ("defaults",), written.defaults)]
    faults.append(second_model_faults(checked))
    for index, stream in enumerate(written.streams):
        path: KeyPath = ("streams", index)
        faults += [_source(path, stream), _options(checked, path, stream), rule_faults(checked, index)]
        faults += [_preview((*path, "preview_url"), stream), footage_faults(checked, index, stream)]
    return list(chain.from_iterable(faults))


def waits_for_streams(config: Config) -> bool:
    """Return whether all streams will be added later, over HTTP."""
    return not config.streams and config.streams_dir is None and config.http.listen is not None


def _sinks(config: Config) -> Iterator[Problem]:
    if not any(getattr(config, key) for key in SINKS) and not waits_for_streams(config):
        yield Problem((), f"results go nowhere; set {listed(f'`{key}`' for key in SINKS)}")


def _onvif(written: Config) -> Iterator[Problem]:
    if written.onvif.enabled and written.mqtt is None:
        yield Problem(("onvif", "enabled"), "has no effect without `mqtt`; set that, or remove this")


def _http(checked: Checked) -> Iterator[Problem]:
    http, path = checked.config.http, ("http", "listen")
    for key in ("cert_file", "key_file"):
        yield from file_faults(("http", key), getattr(http, key))
    for position, name in enumerate(http.hosts or []):
        if not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+", name):
            text = f"expected a host name without scheme, port and path; got `{name}`"
            yield Problem(("http", "hosts", position), text)
    yield from _pair(("http",), http)
    if http.listen is None:
        for key in ("cert_file", "key_file"):
            if getattr(http, key) is not None and checked.sound(path):
                yield Problem(("http", key), "has no effect without `listen`; set that, or remove this")
        return
    try:
        host, _ = parse_listen(http.listen)
    except AddressError as error:
        yield Problem(path, f"{error}; got `{http.listen}`")
        return
    protected = http.token is not None or http.token_file is not None
    if not (protected or is_loopback(host)) and checked.sound(("http", "token"), ("http", "token_file")):
        yield Problem(
            path, f"`{host}` is reachable from other hosts; set `http.token_file`, or listen on 127.0.0.1"
        )


def _broker(checked: Checked, mqtt: MqttConfig) -> Iterator[Problem]:
    if not checked.sound(("mqtt", "url")):
        return
    try:
        address = parse_broker(mqtt.url)
    except AddressError as error:
        yield Problem(("mqtt", "url"), str(error))
        return
    yield from _credentials(mqtt, address)
    if not address.tls:
        for key in ("ca_file", "cert_file", "key_file"):
            if getattr(mqtt.tls, key) is not None:
                yield Problem(("mqtt", "tls", key), "has no effect without TLS; write mqtts:// in `mqtt.url`")


def _credentials(mqtt: MqttConfig, address: BrokerAddress) -> Iterator[Problem]:
    has_password = mqtt.password is not None or mqtt.password_file is not None
    username = mqtt.username if mqtt.username is not None else address.username
    if address.username is not None and mqtt.username is not None:
        yield Problem(("mqtt", "username"), "`mqtt.url` contains a user name too; keep one")
    if address.password is not None and has_password:
        key = "password" if mqtt.password is not None else "password_file"
        yield Problem(("mqtt", key), "`mqtt.url` contains a password too; keep one")
    if username is None and (has_password or address.password is not None):
        yield Problem(("mqtt", "username"), "is missing; a password needs a user name")


def _tls_files(tls: TlsConfig) -> Iterator[Problem]:
    path: KeyPath = ("mqtt", "tls")
    for key in ("ca_file", "cert_file", "key_file"):
        yield from file_faults((*path, key), getattr(tls, key))
    yield from _pair(path, tls)


def _pair(path: KeyPath, section: TlsConfig | HttpConfig) -> Iterator[Problem]:
    """Require a certificate and its key together."""
    if section.cert_file is not None and section.key_file is None:
        yield Problem((*path, "key_file"), "is missing; `cert_file` needs its key")
    if section.key_file is not None and section.cert_file is None:
        yield Problem((*path, "cert_file"), "is missing; `key_file` needs its certificate")


def _model_files(checked: Checked, key: str, model: ModelConfig) -> Iterator[Problem]:
    yield from file_faults(("models", key, "path"), model.path)
    yield from _calibration(checked, key, model)
    if isinstance(model.labels, str) and model.labels not in BUILT_IN_LABELS:
        yield from file_faults(("models", key, "labels"), model.labels)


def _calibration(checked: Checked, key: str, model: ModelConfig) -> Iterator[Problem]:
    """Require calibration images for INT8 if an engine may have to be built."""
    if model.backend == "onnxruntime" or model.engine.build == "never":
        return
    folder = model.engine.calibration
    path: KeyPath = ("models", key, "engine", "calibration")
    if folder is None and model.precision == "int8" and checked.sound(("models", key, "backend")):
        yield Problem(
            path, "is missing; `precision: int8` needs a folder with at least 128 of your own images"
        )
    elif folder is not None and model.precision == "int8" and not Path(folder).is_dir():
        yield Problem(path, f"there is no such folder: {folder}")


def _stream_ids(checked: Checked) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, stream in enumerate(checked.written.streams):
        earlier = first.setdefault(stream.id, index)
        if earlier != index:
            yield Problem(
                ("streams", index, "id"), f"`{stream.id}` is already the id of {checked.places[earlier]}"
            )


def _source(path: KeyPath, stream: StreamConfig) -> Iterator[Problem]:
    """Check the stream's URL, and options it sets that have no effect for its kind of source."""
    try:
        kind = source_kind(stream.url.get_secret_value())
    except AddressError as error:
        yield Problem((*path, "url"), str(error))
        return
    if kind not in ("rtsp", "device"):
        return
    live = "an RTSP stream" if kind == "rtsp" else "a device"
    own = stream.model_fields_set
    if "loop" in own and stream.loop:
        yield Problem((*path, "loop"), f"has no effect: {live} has no end; remove it")
    if "realtime" in own and not stream.realtime:
        yield Problem((*path, "realtime"), f"has no effect: {live} is always live; remove it")


def _preview(path: KeyPath, stream: StreamConfig) -> Iterator[Problem]:
    """Require an RTSP URL, because only Framelane's own reader reads a sub-stream."""
    if stream.preview_url is None:
        return
    try:
        kind = source_kind(stream.preview_url.get_secret_value())
    except AddressError as error:
        yield Problem(path, str(error))
        return
    if kind != "rtsp":
        yield Problem(path, "expected rtsp:// or rtsps://; the page plays no other sub-streams")


def _options(checked: Checked, path: KeyPath, options: StreamOptions | StreamConfig) -> Iterator[Problem]:
    """Check the options of `defaults` or of one stream; each fault is reported where it is written."""
    config, own = checked.config, options.model_fields_set
    if "model" in own:
        yield from _model_names(checked, path, options)
    if "backoff" in own:
        index = path[1] if len(path) > 1 else None
        merged = config.streams[index].backoff if isinstance(index, int) else options.backoff
        yield from _backoff(path, merged)
    if "tls" in own:
        yield from _stream_tls(checked, path, options)
    if "crop" in own and options.crop is not None:
        yield from _crop(path, options.crop)
    # Streams of any model inherit `defaults`, so a label there must be known to at least one model.
    index = path[1] if len(path) > 1 else None
    stream = config.streams[index] if isinstance(index, int) else None
    known = known_labels(config, stream.model_keys if stream is not None else list(config.models))
    if known is not None:
        yield from _labels(path, options, known)


def _model_names(checked: Checked, path: KeyPath, options: StreamOptions) -> Iterator[Problem]:
    names = [options.model] if isinstance(options.model, str) else options.model or []
    for position, name in enumerate(names):
        place = (*path, "model") if isinstance(options.model, str) else (*path, "model", position)
        if name not in checked.models:
            yield Problem(place, unknown("model", name, checked.models))
        elif name in names[:position]:
            yield Problem(place, f"`{name}` is named twice")
        elif (wrong := not_of_frames(checked.config, name)) is not None:
            yield Problem(place, wrong)


def _backoff(path: KeyPath, backoff: BackoffConfig) -> Iterator[Problem]:
    if backoff.first_s > backoff.most_s:
        message = f"first_s ({backoff.first_s:g}) is more than most_s ({backoff.most_s:g})"
        yield Problem((*path, "backoff"), message)


def _stream_tls(checked: Checked, path: KeyPath, options: StreamOptions) -> Iterator[Problem]:
    """Check the TLS keys that are written here; a stream may set one key and `defaults` the other."""
    streams, own = checked.config.streams, options.tls.model_fields_set
    index = path[1] if len(path) > 1 else None
    users = [streams[index]] if isinstance(index, int) else streams
    if "ca_file" in own and options.tls.ca_file is not None:
        whole = users[0].tls if isinstance(index, int) else checked.config.defaults.tls
        yield from file_faults((*path, "tls", "ca_file"), whole.ca_file)
        clear = checked.sound(("defaults", "tls"), (*path, "tls"))
        if clear and not any(stream.tls.verify for stream in users):
            yield Problem((*path, "tls", "ca_file"), "has no effect without `verify: true`")
    if isinstance(index, int) and "verify" in own and options.tls.verify:
        schemes = {url.partition("://")[0].lower() for url in users[0].urls}
        if not schemes & {"rtsps", "https"} and checked.sound((*path, "url"), (*path, "preview_url")):
            yield Problem(
                (*path, "tls", "verify"), "has no effect without TLS; write rtsps:// or https:// in `url`"
            )


def _crop(path: KeyPath, crop: list[float]) -> Iterator[Problem]:
    left, top, right, bottom = crop
    for first, start, last, end in (("left", left, "right", right), ("top", top, "bottom", bottom)):
        if start >= end:
            yield Problem((*path, "crop"), f"{first} ({start:g}) must be less than {last} ({end:g})")


def _homeassistant(checked: Checked, homeassistant: HomeAssistantConfig) -> Iterator[Problem]:
    known = known_labels(checked.config, sorted(checked.models))
    for place, label in listed_labels(homeassistant.classes):
        if known is not None and label not in known:
            yield Problem(("mqtt", "homeassistant", *place), unknown("label", label, known))


def _labels(path: KeyPath, options: StreamOptions, known: list[str]) -> Iterator[Problem]:
    for place, label in labels_of(options):
        if place[0] in options.model_fields_set and label not in known:
            yield Problem((*path, *place), unknown("label", label, known))
