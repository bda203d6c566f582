"""Tests a stream's rules on a recording: `framelane rules test`."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from framelane.core.errors import ConfigError
from framelane.inference.model import load_model
from framelane.measure.errors import InputError
from framelane.measure.rules.clip import Clip
from framelane.measure.rules.inference import Slots
from framelane.measure.rules.motfile import read_truth
from framelane.measure.rules.picture import save_picture
from framelane.measure.rules.player import Player
from framelane.models.heads.class_filter import unknown_labels
from framelane.sources.interfaces.source import LIVE_KINDS, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from framelane.config.sections.schema import Config
    from framelane.config.sections.stream import StreamConfig
    from framelane.core.events import Event
    from framelane.measure.rules.motfile import TrueFrame
    from framelane.measure.rules.report import RulesReport


@dataclass(frozen=True, slots=True)
class RulesTest:
    """What to test.

    Attributes:
        stream: id of the stream.
        clip: the recording; None for the stream's own `url`.
        truth: its ground truth in MOTChallenge's format, if there is one.
        png: where to draw rules, tracks and counts, if anywhere.
    """

    stream: str
    clip: str | None = None
    truth: Path | None = None
    png: Path | None = None


def run_rules_test(config: Config, test: RulesTest, say: Callable[[Event], None]) -> RulesReport:
    """Run a clip to its end and report what happened.

    Args:
        config: a checked configuration.
        test: what to test.
        say: called with each event, in order, as soon as it is known.

    Raises:
        InputError: the stream, the clip or the truth can't be used.
        ConfigError: the stream asks for labels that its models don't have.
        ModelError: a model can't be loaded.
    """
    stream = _stream(config, test.stream)
    path = _path(stream, test.clip)
    if test.png is not None and not test.png.parent.is_dir():
        raise InputError(f"{test.png} can't be written: there is no folder {test.png.parent}")
    truth = None if test.truth is None else read_truth(test.truth)
    if truth is not None and stream.skip != "none":
        raise InputError(f"ground truth counts every picture; set `skip: none` for stream `{stream.id}`")
    with ExitStack() as held:
        clip = held.enter_context(Clip(path, stream))
        slots = {}
        for key in stream.model_keys:
            section = config.models[key]
            slots[key] = held.enter_context(Slots(load_model(key, section), section.slots))
        labels = {key: each.model.info.labels for key, each in slots.items()}
        _check_labels(config, stream.id, labels)
        if truth is not None:
            _check_truth(test.truth, truth, labels)
        player = Player(stream, slots, truth, say)
        for frame in clip.frames():
            player.play(frame)
        player.finish()
        report = player.report(path)
        if test.png is not None and player.trails.picture is not None:
            image = np.asarray(player.trails.picture.to_ndarray(format="bgr24"), np.uint8)
            save_picture(test.png, stream, player.trails, report.counts, image)
        return report


def _stream(config: Config, name: str) -> StreamConfig:
    for stream in config.streams:
        if stream.id == name:
            break
    else:
        known = ", ".join(stream.id for stream in config.streams) or "none"
        raise InputError(f"the configuration has no stream `{name}`; its streams: {known}")
    if not (stream.lines or stream.zones):
        raise InputError(f"stream `{name}` has no rules; give it `lines` or `zones` and `track: true`")
    if not stream.track:
        raise InputError(f"stream `{name}` has rules but tracks no objects; set `track: true`")
    return stream


def _path(stream: StreamConfig, clip: str | None) -> str:
    path = stream.url.get_secret_value() if clip is None else clip
    if clip is None and kind_of(path) in LIVE_KINDS:
        raise InputError(f"stream `{stream.id}` is a camera; name a recording of it with --clip")
    return path


def _check_labels(config: Config, name: str, labels: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse labels of this stream, enabled or not, that its models don't know."""
    alone = [stream.model_copy(update={"enabled": stream.id == name}) for stream in config.streams]
    findings = unknown_labels(config.model_copy(update={"streams": alone}), labels)
    if findings:
        raise ConfigError(findings)


def _check_truth(
    path: Path | None, truth: Mapping[int, TrueFrame], labels: Mapping[str, tuple[str, ...]]
) -> None:
    true = sorted({label for frame in truth.values() for label in frame.labels})
    if not any(label in known for label in true for known in labels.values()):
        raise InputError(f"{path}: the stream's models find no {' or '.join(true)}")
