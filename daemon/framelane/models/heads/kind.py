"""A model's outputs for the trial images, and how to tell one family's layout from another's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from framelane.models.heads.grid import strides_of
from framelane.models.input.preparation import Preparation
from framelane.models.input.spec import InputSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from framelane.models.heads.head import Head
    from framelane.models.input.letterbox import Placement, SizeWH
    from framelane.models.input.spec import PixelType

    Array = NDArray[np.float32]

Mismatch = Literal["shape", "values"]
# Dimensions of an output with boxes, and of one with masks or their prototypes.
RANK, MAPS_RANK = 3, 4
BOX = 4
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a model, over all trial images.

    Attributes:
        number: its index among the outputs.
        name: its name.
        trials: its value for each trial image, each [1, ...].
        listed: whether the file lists the detections of all images together; they have been divided.
    """

    number: int
    name: str
    trials: tuple[Array, ...]
    listed: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape for one image."""
        return self.trials[0].shape

    @property
    def per_image(self) -> bool:
        """Whether it has one row for one image, as all outputs that heads read."""
        return all(trial.shape[:1] == (1,) for trial in self.trials)

    @property
    def rows(self) -> Array:
        """The rows [R, values] of an output [1, rows, values], for all trial images together."""
        return np.concatenate([trial.reshape(-1, trial.shape[-1]) for trial in self.trials])

    def same_as(self, other: Output) -> bool:
        """Return whether it holds the same numbers as another output."""
        return all(map(np.array_equal, self.trials, other.trials))

    def __str__(self) -> str:
        return f"{self.name} {list(self.shape)}"


@dataclass(frozen=True, slots=True)
class Sample:
    """A model's outputs for the trial images.

    Attributes:
        model: the model's name in messages: its file.
        size_wh: the images' size.
        dtype: the images' element type.
        metadata: the file's properties.
        outputs: the outputs.
        names: how many class names there are; None if unknown.
        preparation: what the model's section and its file say about the input.
    """

    model: str
    size_wh: SizeWH
    dtype: PixelType
    metadata: Mapping[str, str]
    outputs: tuple[Output, ...]
    names: int | None = None
    preparation: Preparation = field(default_factory=Preparation)

    @property
    def trials(self) -> list[list[Array]]:
        """All outputs for each trial image."""
        return [list(arrays) for arrays in zip(*(output.trials for output in self.outputs), strict=True)]

    @property
    def task(self) -> str | None:
        """The task that the exporter noted, such as "segment"; None if it noted none."""
        return self.metadata.get("task", "").strip() or None

    @property
    def end2end(self) -> bool:
        """Whether the exporter noted that no suppression is needed."""
        return self.metadata.get("end2end", "").lower() == "true"

    @property
    def rtdetr(self) -> bool:
        """Whether Ultralytics noted that the last module is RT-DETR's decoder."""
        return self.metadata.get("head") == "RTDETRDecoder"

    def beside(self, boxes: Output) -> list[Output]:
        """Return the other outputs [N, K, values] with a row for each of the boxes [N, K, 4]; none for other boxes."""
        if len(boxes.shape) != RANK or boxes.shape[2] != BOX:
            return []
        return [
            each
            for each in self.outputs
            if each is not boxes and len(each.shape) == RANK and each.shape[:2] == boxes.shape[:2]
        ]

    def on_grid(self, rows: int) -> bool:
        """Return whether this number of rows is one or three per cell of the image."""
        return any(strides_of(self.size_wh, rows, anchors) is not None for anchors in (1, 3))


@dataclass(frozen=True, slots=True)
class HeadKind:
    """How to recognize a head and make one; each family's file has its own.

    Attributes:
        name: its key in the configuration.
        layout: its output, in words for messages.
        fits: whether an output's shape can be this layout's; sufficient if the configuration names the head.
        shows: whether metadata and values of a fitting output show this layout rather than another.
        make: returns the head that reads this output.
        task: the task of its models, in Ultralytics' words.
        joins: whether it reads several outputs together that another head could misread alone.
    """

    name: str
    layout: str
    fits: Callable[[Sample, Output], bool]
    shows: Callable[[Sample, Output], bool]
    make: Callable[[Sample, Output], Head]
    task: str = "detect"
    joins: bool = False

    def mismatch(self, sample: Sample, output: Output, *, named: bool = False) -> Mismatch | None:
        """Return what keeps an output from being this layout's; None if nothing does.

        With `named`, the configuration names the head, and the shape is enough.
        """
        if not output.per_image or not self.fits(sample, output):
            return "shape"
        return None if named or self.shows(sample, output) else "values"


def rgb_input(sample: Sample, placement: Placement = "center") -> InputSpec:
    """Return the input on which Ultralytics trains; the DETR families stretch the image."""
    width, height = sample.size_wh
    # A model that takes bytes normalizes them itself.
    scale = 1.0 if sample.dtype == "uint8" else 1 / 255
    spec = InputSpec(width, height, "rgb", scale, placement, dtype=sample.dtype)
    return sample.preparation.applied(spec)


def bgr_input(sample: Sample) -> InputSpec:
    """Return the input on which YOLOX trains."""
    width, height = sample.size_wh
    return sample.preparation.applied(InputSpec(width, height, "bgr", 1.0, "topleft", dtype=sample.dtype))


def normalized_input(sample: Sample) -> InputSpec:
    """Return the input of networks that were trained on ImageNet first, stretched: RF-DETR's."""
    width, height = sample.size_wh
    plain = sample.dtype == "uint8"
    spec = InputSpec(
        width, height, "rgb", 1.0 if plain else 1 / 255, "stretch", dtype=sample.dtype,
        mean=(0.0, 0.0, 0.0) if plain else IMAGENET_MEAN, std=(1.0, 1.0, 1.0) if plain else IMAGENET_STD,
    )  # fmt: skip
    return sample.preparation.applied(spec)
