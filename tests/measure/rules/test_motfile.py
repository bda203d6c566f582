"""Ground truth files, good ones and every kind of bad one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from framelane.measure.errors import InputError
from framelane.measure.rules.motfile import read_truth

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "1,7,10,20,30,40,1,-1,-1,-1\n"
BAD = {
    "empty": (b"", "{file} contains no object"),
    "nothing that counts": (b"1,7,10,20,30,40,0,1,1\n", "{file} contains no object"),
    "too few columns": (
        b"1,7,10,20,30\n",
        "{file}:1: 5 columns; MOT has frame,id,x,y,width,height and may have more",
    ),
    "a heading": (b"frame,id,x,y,w,h\n", "{file}:1: `frame` is not a number"),
    "no number": (GOOD.encode() + b"2,7,10,2O,30,40\n", "{file}:2: `2O` is not a number"),
    "not finite": (b"1,7,nan,20,30,40\n", "{file}:1: `nan` is not a finite number"),
    "frame 0": (b"0,7,10,20,30,40\n", "{file}:1: frame 0 is not a whole number from 1 on"),
    "half a frame": (b"1.5,7,10,20,30,40\n", "{file}:1: frame 1.5 is not a whole number from 1 on"),
    "half an id": (b"1,7.5,10,20,30,40\n", "{file}:1: id 7.5 is not a whole number"),
    "no area": (b"1,7,10,20,0,40\n", "{file}:1: a box of 0 x 40 pixels has no area"),
    "an object twice": (GOOD.encode() * 2, "{file}:2: object 7 is in frame 1 twice"),
    "binary": (b"\xff\xfe\x00\x01", "{file} can't be read: it is not text"),
}


@pytest.mark.parametrize("case", BAD)
def test_malformed_truth_is_refused_with_its_line(case: str, tmp_path: Path) -> None:
    content, message = BAD[case]
    file = tmp_path / "gt.txt"
    file.write_bytes(content)
    with pytest.raises(InputError) as refused:
        read_truth(file)
    assert str(refused.value) == message.format(file=file)


def test_missing_truth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gt.txt can't be read: No such file or directory"):
        read_truth(tmp_path / "gt.txt")


def test_truth_has_corners_by_frame_and_labels_by_class(tmp_path: Path) -> None:
    file = tmp_path / "gt.txt"
    # Out of order; a car; a reflection (class 12); one that is not to be considered; a blank line.
    file.write_text("2,3,0,0,5.5,5,1,3,0.9\n\n" + GOOD + "1,8,0,0,9,9,1,12,1\n1,9,0,0,9,9,0,1,1\n")
    truth = read_truth(file)
    assert {frame: (each.ids.tolist(), each.xyxy.tolist(), each.labels) for frame, each in truth.items()} == {
        1: ([7], [[10, 20, 40, 60]], ("person",)),
        2: ([3], [[0, 0, 5.5, 5]], ("car",)),
    }
