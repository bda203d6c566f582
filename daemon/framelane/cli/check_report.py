"""What `framelane check` reports, in one pass: findings on files, their models, and this host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framelane.config.keypath import at, parsed
from framelane.config.named_labels import labels_of, listed_labels
from framelane.config.yaml.load import check_config
from framelane.core.errors import Finding, ModelError
from framelane.gpu.availability import why_absent
from framelane.inference.model import load_model
from framelane.models.heads.class_filter import label_findings, unknown_on_labels

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from framelane.config.yaml.load import CheckReport, Draft
    from framelane.inference.model import Model

_MOST_CHECKED = 4
"""Largest batch that is tried here, because large ones take long on a CPU."""

# Despite a mistake in one of these keys, the model file can be loaded.
_APART_FROM_LOADING = frozenset(
    (
        "backend",
        "batch",
        "confidence",
        "deadline_s",
        "engine",
        "every_s",
        "iou",
        "linger_ms",
        "margin",
        "max_det",
        "of",
        "on",
        "precision",
        "slots",
        "waiting",
    )
)


def check_all(path: Path, environ: Mapping[str, str]) -> tuple[list[Finding], list[Finding]]:
    """Return findings and warnings, each once, by file and line.

    A mistake in one place doesn't hide others.
    """
    report = check_config(path, environ)
    if report.draft is None:
        return report.findings, report.warnings
    draft, labels = report.draft, {}
    found, doubts = [], []
    for key in draft.config.models:
        try:
            if _can_be_loaded(draft, key):
                model = _load(draft, key)
                labels[key] = model.info.labels
                doubts += [Finding(f"models.{key}.path", text) for text in model.doubts]
        except ModelError as error:
            found.append(Finding(f"models.{key}.path", str(error)))
    found += _unknown_labels(report, draft, labels)
    warnings = report.warnings + report.located(doubts + _gpu_warnings(draft))
    return _in_order(report.findings + report.located(found)), _in_order(warnings)


def _can_be_loaded(draft: Draft, key: str) -> bool:
    section = ("models", key)
    return not any(
        path in (("models",), section) or (path[:2] == section and path[2] not in _APART_FROM_LOADING)
        for path in draft.doubtful
    )


def _load(draft: Draft, key: str) -> Model:
    """Load a model on the CPU.

    Building an engine takes minutes, and a GPU missing on this host is no mistake in the file.
    """
    section = draft.config.models[key]
    on_cpu = {"backend": "onnxruntime", "batch": min(section.batch, _MOST_CHECKED)}
    return load_model(key, section.model_copy(update=on_cpu))


def _unknown_labels(
    report: CheckReport, draft: Draft, labels: Mapping[str, tuple[str, ...]]
) -> Iterator[Finding]:
    """Yield unknown labels, once for each place that they are written in, if not reported already."""
    reported = set(draft.doubtful)
    for finding in _asked(report, draft, labels):
        path = parsed(finding.path)
        if path not in reported and draft.sound(path):
            reported.add(path)
            yield finding


def _asked(report: CheckReport, draft: Draft, labels: Mapping[str, tuple[str, ...]]) -> Iterator[Finding]:
    config = draft.config
    for index, stream in enumerate(config.streams):
        known = {key: labels[key] for key in stream.model_keys if key in labels}
        if len(known) < len(stream.model_keys) or not draft.sound(("streams", index, "model")):
            continue
        for place, label in labels_of(stream):
            yield from label_findings(_writer(report, index, str(place[0])), known, [(place, label)])
    yield from unknown_on_labels(config, labels)
    announced = config.mqtt.homeassistant if config.mqtt is not None else None
    if announced is not None and announced.enabled and labels.keys() == config.models.keys():
        yield from label_findings("mqtt.homeassistant", labels, listed_labels(announced.classes))


def _writer(report: CheckReport, index: int, key: str) -> str:
    """Return where a stream's option is written: in the stream itself, or in `defaults`."""
    entries = report.written.entries if report.written is not None else ()
    own = index < len(entries) and at(entries[index].data, (key,)) is not None
    return f"streams[{index}]" if own else "defaults"


def _gpu_warnings(draft: Draft) -> list[Finding]:
    """Return a warning for each model that needs a GPU which this host can't use."""
    keys = [key for key, section in draft.config.models.items() if section.backend == "tensorrt"]
    reason = why_absent() if keys else None
    return [Finding(f"models.{key}.backend", f"not on this host: {reason}") for key in keys if reason]


def _in_order(findings: list[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: (finding.file, finding.line))
