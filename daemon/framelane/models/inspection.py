"""Finds out what a model file is, as the daemon would, and keeps its findings if the file is unusable."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framelane.core.errors import ModelError
from framelane.models.artifact import Artifact
from framelane.models.batch_trial import BatchTrial
from framelane.models.heads.attempts import Attempt, attempts
from framelane.models.heads.class_filter import ClassFilter
from framelane.models.labels import choose_labels
from framelane.models.onnx_header import OnnxHeader, read_header
from framelane.models.onnx_session import OnnxSession
from framelane.models.postprocess import Postprocessor
from framelane.models.sizing import size_wh
from framelane.models.trial import first_sample, try_model

if TYPE_CHECKING:
    from framelane.config.sections.model import ModelConfig
    from framelane.models.artifact import TensorSpec
    from framelane.models.heads.head import Head
    from framelane.models.trial import Trial

MOST_BATCH = 4
"""Largest batch that is tried, because large ones take long on a CPU."""


@dataclass(slots=True)
class Inspection:
    """What is known about a model file; the unknown is None or empty.

    Attributes:
        path: the file.
        bytes: its size.
        hash: the hash by which consumers know it.
        header: its own description.
        changed: what of the file is left out, in a sentence.
        inputs: its inputs; open dimensions have a name or are None.
        outputs: its outputs, likewise.
        shapes: the shape of each output for one trial image.
        attempts: which heads were tried on which outputs.
        head: the head that reads it.
        labels: its class names.
        fixed_batch: the batch size that the file fixes; None if any works.
        most_batch: the largest batch, up to 4, that gives every image its own detections.
        found: how many objects of each label it finds on the trial street.
        doubts: what is odd, in sentences.
        error: why the daemon would refuse it, in a sentence.
    """

    path: Path
    bytes: int | None = None
    hash: str | None = None
    header: OnnxHeader | None = None
    changed: str | None = None
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    head: Head | None = None
    labels: tuple[str, ...] = ()
    fixed_batch: int | None = None
    most_batch: int | None = None
    found: dict[str, int] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        head = self.head
        return {
            "path": str(self.path),
            "bytes": self.bytes,
            "hash": self.hash,
            "header": self.header and asdict(self.header),
            "changed": self.changed,
            "inputs": [asdict(spec) for spec in self.inputs],
            "outputs": [asdict(spec) for spec in self.outputs],
            "shapes": self.shapes,
            "attempts": [asdict(attempt) for attempt in self.attempts],
            "head": head and head.name,
            "reads": head and [*self.shapes][head.output],
            "suppresses": head and head.overlapping,
            "input": head and asdict(head.input),
            "classes": len(self.labels) or (head and head.classes),
            "labels": self.labels,
            "fixed_batch": self.fixed_batch,
            "most_batch": self.most_batch,
            "found": self.found,
            "doubts": self.doubts,
            "error": self.error,
        }


def inspect_model(config: ModelConfig) -> Inspection:
    """Take a model file through all steps of a start, on the CPU, as far as it gets.

    Args:
        config: a model's section; a relative path starts at the working directory.
    """
    found = Inspection(Path(config.path))
    try:
        _inspect(found, config)
    except ModelError as error:
        found.error = str(error)
    return found


def _inspect(found: Inspection, config: ModelConfig) -> None:
    if found.path.is_file():
        found.bytes = found.path.stat().st_size
        found.header = read_header(found.path)
    if found.header is not None:
        found.inputs, found.outputs = found.header.inputs, found.header.outputs
    artifact = Artifact.describe(found.path).read_as(config.head)
    found.hash, found.changed = artifact.hash, artifact.changed
    found.inputs, found.outputs = artifact.inputs, artifact.outputs
    artifact.check_input()
    found.fixed_batch = artifact.batch
    size = size_wh(artifact, config)
    session = OnnxSession(artifact)
    sample = first_sample(session.run, artifact, size, config)
    found.shapes = {output.name: output.shape for output in sample.outputs}
    found.attempts = attempts(sample)
    trial = try_model(session.run, artifact, size, config)
    found.head = trial.head
    found.doubts += trial.doubts
    found.labels = choose_labels(
        config.labels, artifact.metadata, trial.head.classes, os.fspath(artifact.path)
    )
    found.found = _on_the_street(trial, found.labels, config)
    _try_batches(found, BatchTrial(session.run, trial, artifact.batch))


def _on_the_street(trial: Trial, labels: tuple[str, ...], config: ModelConfig) -> dict[str, int]:
    """Return how many objects of each label the model finds on the first trial image, most first."""
    head = trial.head
    postprocess = Postprocessor(head, config.iou, config.max_det)
    wanted = ClassFilter.build(labels, None, None, config.confidence)
    detections = postprocess(trial.sample.trials[0], [head.input.letterbox(head.input.size_wh)], [wanted])[0]
    return dict(Counter(labels[number] for number in detections.class_id).most_common())


def _try_batches(found: Inspection, batches: BatchTrial) -> None:
    try:
        found.most_batch = batches.most(MOST_BATCH)
    except ModelError as error:
        # A daemon on a CPU uses batches of one unless `batch` says otherwise.
        found.doubts.append(str(error))
    if batches.doubt is not None:
        found.doubts.append(batches.doubt)
