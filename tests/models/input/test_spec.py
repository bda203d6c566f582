from __future__ import annotations

import numpy as np
import pytest

from framelane.models.input.letterbox import Crop, Letterbox
from framelane.models.input.spec import InputSpec

SPEC = InputSpec(640, 384, "rgb", 1 / 255, "center")


def test_shape_puts_height_before_width() -> None:
    assert (SPEC.size_wh, SPEC.shape(16)) == ((640, 384), (16, 3, 384, 640))


@pytest.mark.parametrize("crop", [None, Crop(0.25, 0, 0.75, 1)])
def test_letterbox_is_that_of_the_placement_and_crop(crop: Crop | None) -> None:
    assert SPEC.letterbox((1920, 1080), crop) == Letterbox.fit((1920, 1080), (640, 384), "center", crop)
    topleft = InputSpec(640, 384, "bgr", 1.0, "topleft")
    assert topleft.letterbox((1920, 1080)).pad_xy == (0, 0)
    assert SPEC.letterbox((1920, 1080)).pad_xy == (0, 12)


def test_padding_is_the_grey_of_the_training_code() -> None:
    assert (SPEC.pad, SPEC.dtype) == (114, "float32")


IMAGENET = InputSpec(8, 4, "rgb", 1 / 255, "stretch", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def test_factors_and_offsets_scale_then_normalize_each_channel() -> None:
    assert IMAGENET.factors.tolist() == pytest.approx([0.0171248, 0.0175070, 0.0174292], rel=1e-4)
    assert IMAGENET.offsets.tolist() == pytest.approx([-2.1179, -2.0357, -1.8044], rel=1e-4)
    assert SPEC.offsets.tolist() == [0, 0, 0]


def test_blank_is_padding_prepared_like_pixels() -> None:
    images = IMAGENET.blank(2)
    assert (images.shape, images.dtype, images.nbytes) == ((2, 3, 4, 8), np.float32, IMAGENET.batch_bytes(2))
    assert images[1, :, 3, 7].tolist() == pytest.approx(
        [(114 / 255 - 0.485) / 0.229, -0.0399, 0.1824], abs=1e-3
    )
    whole = InputSpec(8, 4, "bgr", 1.0, "topleft", dtype="uint8").blank(1)
    assert np.unique(whole).tolist() == [114]
