"""The scratch memory of box decoding and suppression, and its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from framelane.inference.backends.cuda.head_spec import HeadSpec

# The same as in the kernels.
MOST_COMPARED = 4096
MOST_ROTATED = 1024
# Alignment of the parts: the widest load of a kernel.
_ALIGNMENT = 256
# Bytes per anchor: key, box, class, rotated box. Bytes per compared box: a distribution.
_KEY, _BOX, _CLASS, _TURNED, _GAUSSIAN = 8, 16, 4, 20, 48


@dataclass(frozen=True, slots=True)
class Workspace:
    """Addresses of a workspace's parts: candidates as in kernels/candidates.h, and the strongest of them."""

    key: int
    box: int
    class_id: int
    count: int
    turned: int
    strongest_box: int
    strongest_class: int
    gaussian: int
    kept_anchor: int
    end: int

    @staticmethod
    def at(address: int, head: HeadSpec, batch: int, max_det: int) -> Workspace:
        """Return the workspace that begins at an address; upright heads need no rotated boxes."""
        sizes = (
            *(batch * head.anchors * each for each in (_KEY, _BOX, _CLASS)),
            batch * np.dtype(np.int32).itemsize,
            batch * head.anchors * _TURNED * head.rotated,
            *(batch * MOST_COMPARED * each for each in (_BOX, _CLASS)),
            batch * MOST_ROTATED * _GAUSSIAN * head.rotated,
            batch * max_det * np.dtype(np.int32).itemsize,
        )
        starts = [address]
        for size in sizes:
            starts.append(starts[-1] + -(-size // _ALIGNMENT) * _ALIGNMENT)
        return Workspace(*starts)

    def candidates(self, head: HeadSpec) -> tuple[np.uint64, ...]:
        """Return the kernels' arguments for the candidates of a head."""
        turned = self.turned if head.rotated else 0
        return tuple(
            np.uint64(address) for address in (self.key, self.box, self.class_id, self.count, turned)
        )
