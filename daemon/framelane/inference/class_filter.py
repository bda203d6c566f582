"""Which objects a stream wants: the least confidence of every class of a model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from framelane.config.keypath import dotted
from framelane.config.suggest import listed, nearest
from framelane.core.errors import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    Labels = tuple[str, ...]

MOST_LISTED = 10


@dataclass(frozen=True, slots=True, eq=False)
class ClassFilter:
    """What one stream wants from one model; built once, applied before suppression.

    Attributes:
        thresholds: float32 [classes], least confidence of each class; infinite for those not wanted.
        floor: the least of the thresholds.
        wanted: intp [W], ids of the wanted classes where some are not, so that a head need not scan the rest;
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
        """Thresholds by class id, from a stream's options.

        Args:
            labels: the model's class names by id; several ids may share a name.
            classes: names to report, or None for all; those the model lacks are passed over.
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
        """A filter from its thresholds alone."""
        wanted = np.flatnonzero(np.isfinite(thresholds))
        few = len(wanted) < len(thresholds)
        return ClassFilter(thresholds, thresholds.min(initial=np.float32(np.inf)), wanted if few else None)

    @staticmethod
    @lru_cache(maxsize=64)
    def everything(classes: int, confidence: float) -> ClassFilter:
        """All classes, with one threshold."""
        return ClassFilter.of(np.full(classes, confidence, np.float32))


def label_findings(
    path: str,
    models: Mapping[str, Labels],
    classes: Sequence[str] | None,
    confidence: float | Mapping[str, float] | None,
) -> list[Finding]:
    """Names in a stream's `classes` and `confidence` that none of its models knows.

    Args:
        path: key path of the stream, such as `streams[2]`.
        models: labels of the stream's models, by model key.
        classes: the stream's `classes`.
        confidence: the stream's `confidence`.
    """
    known = {label: None for labels in models.values() for label in labels}
    names = [(f"{path}.classes[{index}]", name) for index, name in enumerate(classes or ())]
    if confidence is not None and not isinstance(confidence, (int, float)):
        names += [(f"{path}.{dotted(('confidence', name))}", name) for name in confidence]
    return [Finding(at, _unknown(name, list(known), models)) for at, name in names if name not in known]


def _unknown(name: str, known: list[str], models: Iterable[str]) -> str:
    meant = nearest(name, known)
    if meant is not None:
        return f"unknown label `{name}`; did you mean `{meant}`?"
    some = listed(known, "and") if len(known) <= MOST_LISTED else f"{', '.join(known[:MOST_LISTED])} ..."
    return f"unknown label `{name}`; {listed(models, 'and')} knows {some}"
