"""The drawing of rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from framelane.config.sections.stream import StreamConfig
from framelane.measure.errors import InputError
from framelane.measure.rules.counts import count_rules
from framelane.measure.rules.picture import draw_rules, save_picture
from framelane.measure.rules.trails import Trails

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

GATE = StreamConfig.model_validate(
    {
        "id": "gate",
        "url": "x.mp4",
        # To the right, so that left is up.
        "lines": {"street": {"points": [[0.1, 0.5], [0.7, 0.5]], "classes": ["person"]}},
        "zones": {"yard": {"polygon": [[0.72, 0.1], [0.98, 0.1], [0.98, 0.9], [0.72, 0.9]]}},
    }
)


def drawn(width: int, height: int, config: StreamConfig = GATE) -> NDArray[np.uint8]:
    trails = Trails()
    trails.by_track["m", 1] = [(width * 0.1, height * 0.8), (width * 0.6, height * 0.8)]
    trails.boxes = [(("m", 1), "Straßenbahn", (width * 0.2, height * 0.6, width * 0.3, height * 0.8))]
    image = np.zeros((height, width, 3), np.uint8)
    return draw_rules(config, trails, count_rules(config, []), image)


@pytest.mark.parametrize("size_wh", [(320, 240), (640, 480), (1920, 1080), (3840, 2160)])
def test_rules_are_drawn_at_any_size(size_wh: tuple[int, int]) -> None:
    picture = drawn(*size_wh)
    width = max(size_wh[0], 960)
    height = round(size_wh[1] * width / size_wh[0])
    assert picture.shape[1] == width
    # A row of letters for the line and one for the zone.
    assert picture.shape[0] >= height + 2 * 12 * width / 960
    line, zone = (
        picture[round(height * y), round(width * x)].tolist() for x, y in ((0.65, 0.5), (0.72, 0.7))
    )
    assert (line, zone) == ([60, 220, 255], [255, 190, 60])
    # The zone is tinted, and the rest is as dark as the frame.
    assert picture[round(height * 0.8), round(width * 0.85)].any()
    assert not picture[round(height * 0.95), round(width * 0.3)].any()


def test_left_arrow_points_to_the_left_of_the_line() -> None:
    def white(picture: NDArray[np.uint8]) -> tuple[float, float]:
        """Where the arrows' white pixels are: left of the line's middle, and right of it, in heights."""
        rows, columns = np.nonzero((picture[:720] == 255).all(axis=2))
        near = columns < 384
        return float(rows[near].mean() / 720), float(rows[~near].mean() / 720)

    left, right = white(drawn(960, 720))
    assert left < 0.5 < right
    turned = GATE.model_copy(deep=True)
    turned.lines["street"].points.reverse()
    right, left = white(drawn(960, 720, turned))
    assert right < 0.5 < left


def test_picture_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "rules.png"
    save_picture(file, GATE, Trails(), (), np.zeros((480, 640, 3), np.uint8))
    written = cv2.imread(str(file))
    assert written is not None
    assert written.shape[1] == 960
    with pytest.raises(InputError, match=r"can't be written: Is a directory"):
        save_picture(tmp_path, GATE, Trails(), (), np.zeros((480, 640, 3), np.uint8))
