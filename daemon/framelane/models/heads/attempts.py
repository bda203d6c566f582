"""Lists the heads that recognition tries on each output of a model, and how each try ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from framelane.models.heads.output_checks import fault
from framelane.models.heads.recognize import heads_for

if TYPE_CHECKING:
    from framelane.models.heads.kind import HeadKind, Output, Sample

Outcome = Literal["shape", "values", "fault", "fits"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One head, tried on one output.

    Attributes:
        output: the output's name.
        head: the head's key in the configuration.
        outcome: `shape` or `values` if that does not match, `fault` if both match but the values can't be right,
            else `fits`.
        why: the layout that the shape would need, or the fault; empty otherwise.
    """

    output: str
    head: str
    outcome: Outcome
    why: str = ""


def attempts(sample: Sample) -> list[Attempt]:
    """Return the outcome of every head on every output, in the order in which recognition tries them."""
    return [
        _tried(sample, output, kind) for output in sample.outputs for kind in heads_for(sample.task).values()
    ]


def _tried(sample: Sample, output: Output, kind: HeadKind) -> Attempt:
    mismatch = kind.mismatch(sample, output)
    if mismatch is not None:
        return Attempt(output.name, kind.name, mismatch, kind.layout if mismatch == "shape" else "")
    wrong = fault(kind.make(sample, output), sample)
    return Attempt(output.name, kind.name, "fits" if wrong is None else "fault", wrong or "")
