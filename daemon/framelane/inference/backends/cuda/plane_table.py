"""The row format of the table that tells the kernels where each image of a batch is."""

from __future__ import annotations

import numpy as np

# The fields of struct Picture; kernels/picture.h documents them.
PICTURE = np.dtype(
    [
        ("plane", np.uint64, 3),
        ("luma_ratio", np.float64, 2),
        ("chroma_ratio", np.float64, 2),
        ("pitch", np.int32, 3),
        ("sample_bytes", np.int32),
        ("sample_scale", np.float32),
        ("chroma_step", np.int32),
        ("luma_wh", np.int32, 2),
        ("chroma_wh", np.int32, 2),
        ("new_wh", np.int32, 2),
        ("pad_xy", np.int32, 2),
        ("matrix", np.int32, 12),
        ("factor", np.float32, 2),
        ("origin", np.float32, 2),
        ("limit", np.float32, 2),
    ],
    align=True,
)
