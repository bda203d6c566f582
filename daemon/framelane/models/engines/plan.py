"""How a model runs on a GPU: its slots, and the batch sizes that each slot is prepared for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from framelane.core.errors import ModelError

if TYPE_CHECKING:
    from framelane.config.sections.model import ModelConfig
    from framelane.models.artifact import Artifact

BATCH = 16
SLOTS = 2
_STEP = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """The slots of a model, and the batch sizes for which each has a context and a graph.

    Attributes:
        slots: batches in flight.
        buckets: batch sizes, ascending; a batch runs in the smallest that fits it.
    """

    slots: int
    buckets: tuple[int, ...]

    @staticmethod
    def of(config: ModelConfig, artifact: Artifact) -> Plan:
        """Return the plan for a model's section, within what its file allows.

        Raises:
            ModelError: the file fixes another batch size than the section.
        """
        if artifact.batch is None:
            most = config.batch or BATCH
            least = min(config.engine.min_batch, most)
        elif config.batch in {0, artifact.batch}:
            least = most = artifact.batch
        else:
            raise ModelError(
                f"{artifact.path} fixes batches of {artifact.batch}; `batch: {config.batch}` can't change that: "
                "leave it out, or export the model with a dynamic batch"
            )
        return Plan(config.slots or SLOTS, buckets(least, most))

    @property
    def most(self) -> int:
        """The largest batch."""
        return self.buckets[-1]

    def bucket_for(self, count: int) -> int:
        """Return the smallest bucket for `count` images."""
        return next(size for size in self.buckets if size >= count)


def buckets(least: int, most: int) -> tuple[int, ...]:
    """Return 1, 4, 16, 64, ... from an engine's least to below its most, then the most itself; ascending."""
    sizes, size = [], 1
    while size < most:
        if size >= least:
            sizes.append(size)
        size *= _STEP
    return (*sizes, most)
