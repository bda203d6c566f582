"""Tries a model on a few images after loading, to find its head and check its numbers."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import TYPE_CHECKING

import cv2
import numpy as np

from framelane.core.errors import ModelError
from framelane.models.heads.kind import Output, Sample, rgb_input
from framelane.models.heads.output_checks import doubts, fault
from framelane.models.heads.recognize import recognize
from framelane.models.input.preparation import Preparation
from framelane.models.labels import count_labels
from framelane.models.suppression_plugin import HEAD

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from framelane.config.sections.model import ModelConfig
    from framelane.models.artifact import Artifact
    from framelane.models.heads.head import Head
    from framelane.models.input.letterbox import SizeWH
    from framelane.models.input.spec import InputSpec

    Array = NDArray[np.float32]
    Run = Callable[[NDArray[np.generic]], list[Array]]

_SEED = 1


@dataclass(frozen=True, slots=True)
class Trial:
    """A model's head, and its outputs for the trial images.

    Attributes:
        head: the head.
        sample: the outputs for each image alone, with the input that the head needs.
        doubts: what is odd about them, in sentences.
    """

    head: Head
    sample: Sample
    doubts: tuple[str, ...]


def try_model(run: Run, artifact: Artifact, size_wh: SizeWH, config: ModelConfig) -> Trial:
    """Find a model's head, and check whether its outputs can be right.

    Args:
        run: the model: returns raw outputs for images [n, 3, h, w].
        artifact: its file.
        size_wh: the size of the images.
        config: its section.

    Raises:
        ModelError: it can't process the images, no head fits, or its outputs can't be right.
    """
    first = first_sample(run, artifact, size_wh, config)
    head = recognize(first, _setting(artifact, config), config.output)
    if head.input == rgb_input(first):
        return Trial(head, first, doubts(head, first))
    prepared = _sample(run, head.input, first, artifact)
    wrong = fault(head, prepared)
    if wrong is not None:
        raise ModelError(f"{first.model}: {wrong}")
    return Trial(head, prepared, doubts(head, prepared))


def _setting(artifact: Artifact, config: ModelConfig) -> str:
    """Return the configured head; what was cut off told which one reads the rest."""
    return HEAD if config.head == "auto" and artifact.changed is not None else config.head


def first_sample(run: Run, artifact: Artifact, size_wh: SizeWH, config: ModelConfig) -> Sample:
    """Return a model's outputs for the trial images as most models want them, from which its head is recognized.

    Raises:
        ModelError: it can't process the images.
    """
    file = os.fspath(artifact.path)
    names = count_labels(config.labels, artifact.metadata, file)
    preparation = Preparation.of(config.input, artifact.metadata, file)
    facts = Sample(file, size_wh, artifact.dtype, artifact.metadata, (), names, preparation)
    return _sample(run, rgb_input(facts), facts, artifact)


def trial_pictures(size_wh: SizeWH) -> NDArray[np.uint8]:
    """Return a street with people and cars, its mirror image, and noise: RGB [3, 3, h, w].

    A model with suppression in the graph shows its layout only if it finds something, and it finds nothing in
    noise.
    """
    encoded = files("framelane.models.assets").joinpath("street.jpg").read_bytes()
    decoded = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None  # noqa: S101 - a file of the package
    street = cv2.resize(decoded, size_wh, interpolation=cv2.INTER_AREA)[..., ::-1]
    noise = np.random.default_rng(_SEED).integers(0, 256, street.shape, np.uint8)
    return np.ascontiguousarray(np.stack([street, street[:, ::-1], noise]).transpose(0, 3, 1, 2))


def as_input(spec: InputSpec) -> NDArray[np.generic]:
    """Return the trial images in a model's input format."""
    rgb = trial_pictures(spec.size_wh)
    ordered = rgb if spec.color == "rgb" else rgb[:, ::-1]
    values = ordered * spec.factors[:, None, None] + spec.offsets[:, None, None]
    return np.ascontiguousarray(values.astype(spec.dtype))


def _sample(run: Run, spec: InputSpec, facts: Sample, artifact: Artifact) -> Sample:
    """Return a model's outputs for each trial image alone."""
    batch = as_input(spec)
    trials = [run(batch[number : number + 1]) for number in range(len(batch))]
    outputs = [
        Output(number, output.name, tuple(arrays[number] for arrays in trials), artifact.lists_all(output))
        for number, output in enumerate(artifact.outputs)
    ]
    return replace(facts, outputs=tuple(outputs))
