"""Which objects a stream wants: the least confidence for every class of a model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from framelane.config.keypath import dotted
from framelane.config.named_labels import labels_of
from framelane.config.suggest import listed, nearest
from framelane.core.errors import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from framelane.config.keypath import KeyPath
    from framelane.config.sections.schema import Config

    Labels = tuple[str, ...]

MOST_LISTED = 10


@dataclass(frozen=True, slots=True, eq=False)
class ClassFilter:
    """What one stream wants from one model; built once, applied before suppression.

    Attributes:
        thresholds: float32 [classes], least confidence of each class; infinite for unwanted ones.
        floor: the smallest threshold.
        wanted: intp [W], ids of the wanted classes if some are not, so that a head need not scan the rest;
            else None.
    """

    thresholds: NDArray[np.float32]
    floor: np.float32
    wanted: NDArray[np.intp] | None

    @staticmethod
    def build(
        labels: Labels,
        classes: Iterable[str] | None,
        confidence: float | Mapping[str, float] | None,
        default: float,
    ) -> ClassFilter:
        """Return the filter for a stream's options.

        Args:
            labels: the model's class names by id; several ids may share a name.
            classes: names to report, or None for all; names that the model lacks are ignored.
            confidence: least confidence of all classes, or by name, or None for the model's own.
            default: the model's own least confidence.
        """
        named: Mapping[str, float] = {}
        if isinstance(confidence, (int, float)):
            default = confidence
        elif confidence is not None:
            named = confidence
        wanted = set(labels if classes is None else classes)
        thresholds = [named.get(label, default) if label in wanted else np.inf for label in labels]
        return ClassFilter.of(np.array(thresholds, np.float32))

    @staticmethod
    def of(thresholds: NDArray[np.float32]) -> ClassFilter:
        """Return the filter for given thresholds."""
        wanted = np.flatnonzero(np.isfinite(thresholds))
        few = len(wanted) < len(thresholds)
        return ClassFilter(thresholds, thresholds.min(initial=np.float32(np.inf)), wanted if few else None)

    def weakened(self, share: float) -> ClassFilter:
        """Return the filter for the same classes, with this share of each threshold."""
        return ClassFilter.of(self.thresholds * np.float32(share))

    @staticmethod
    @lru_cache(maxsize=64)
    def everything(classes: int, confidence: float) -> ClassFilter:
        """Return the filter for all classes with one threshold."""
        return ClassFilter.of(np.full(classes, confidence, np.float32))


def label_findings(
    path: str,
    models: Mapping[str, Labels],
    named: Iterable[tuple[KeyPath, str]],
) -> list[Finding]:
    """Return findings for labels that none of a stream's models knows.

    Args:
        path: key path of the stream, such as `streams[2]`.
        models: labels of the stream's models, by model key.
        named: labels that the stream names, each with its key path within the stream.
    """
    known = {label: None for labels in models.values() for label in labels}
    return [
        Finding(f"{path}.{dotted(place)}", _unknown(label, list(known), models))
        for place, label in named
        if label not in known
    ]


def unknown_labels(config: Config, labels: Mapping[str, Labels]) -> list[Finding]:
    """Return findings for labels of enabled streams that none of their models knows, if labels are known."""
    findings: list[Finding] = []
    for index, stream in enumerate(config.streams):
        known = {key: labels[key] for key in stream.model_keys if key in labels}
        if stream.enabled and len(known) == len(stream.model_keys):
            findings += label_findings(f"streams[{index}]", known, labels_of(stream))
    return findings + unknown_on_labels(config, labels)


def unknown_on_labels(config: Config, labels: Mapping[str, Labels]) -> list[Finding]:
    """Return findings for labels of second models' `on` that their first model lacks, if labels are known."""
    findings: list[Finding] = []
    for key, model in config.models.items():
        if model.of is not None and model.of in labels:
            named = ((("on", index), label) for index, label in enumerate(model.on or ()))
            findings += label_findings(dotted(("models", key)), {model.of: labels[model.of]}, named)
    return findings


def _unknown(name: str, known: list[str], models: Iterable[str]) -> str:
    meant = nearest(name, known)
    if meant is not None:
        return f"unknown label `{name}`; did you mean `{meant}`?"
    some = listed(known, "and") if len(known) <= MOST_LISTED else f"{', '.join(known[:MOST_LISTED])} ..."
    return f"unknown label `{name}`; {listed(models, 'and')} knows {some}"
