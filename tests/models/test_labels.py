"""Class names, from wherever they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from framelane.core.errors import ModelError
from framelane.models.labels import COCO, choose_labels, count_labels, metadata_names

if TYPE_CHECKING:
    from pathlib import Path


THREE = ("person", "bicycle", "car")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{0: 'person', 1: 'bicycle', 2: 'car'}", THREE),
        ("{2: 'car', 0: 'person', 1: 'bicycle'}", THREE),
        ('{"0": "person", "1": "bicycle", "2": "car"}', THREE),
        ('["person", "bicycle", "car"]', THREE),
        ("('person', 'bicycle', 'car')", THREE),
        ("{0: 'person', 2: 'car'}", None),
        ("{'a': 'person'}", None),
        ("[]", None),
        ("__import__('os').getcwd()", None),
        ("person, car", None),
        ("7", None),
    ],
)
def test_metadata_names_reads_literals_only(text: str, names: tuple[str, ...] | None) -> None:
    assert names == metadata_names({"names": text})


def test_metadata_names_finds_none_when_there_are_none() -> None:
    assert metadata_names({"author": "me"}) is None


def test_coco_has_eighty_names_in_order() -> None:
    assert (len(COCO), len(set(COCO))) == (80, 80)
    assert (COCO[0], COCO[58], COCO[79]) == ("person", "potted plant", "toothbrush")


def test_choose_labels_takes_the_first_that_applies(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_text("person\nbicycle\n\n car \n")
    metadata = {"names": str(dict(enumerate(THREE)))}
    assert choose_labels("auto", metadata, 3, "m.onnx") == THREE
    assert choose_labels(str(file), {}, 3, "m.onnx") == THREE
    assert choose_labels(list(THREE), {}, 3, "m.onnx") == THREE
    assert choose_labels("coco", metadata, 80, "m.onnx") == COCO
    assert choose_labels("auto", {}, 80, "m.onnx") == COCO
    assert choose_labels("auto", {"names": " ", "classes": "80"}, 80, "m.onnx") == COCO
    assert choose_labels(list(THREE), {"names": "part0,part1"}, 3, "m.onnx") == THREE
    assert choose_labels("auto", metadata, None, "m.onnx") == THREE


@pytest.mark.parametrize(
    ("setting", "metadata", "classes", "message"),
    [
        (
            "coco",
            {},
            3,
            (
                "m.onnx has 3 classes, but `labels: coco` names 80; "
                "set `labels` to `auto`, a list or a file of 3 names"
            ),
        ),
        (
            ["a"],
            {},
            3,
            (
                "m.onnx has 3 classes, but the list in `labels` names 1; "
                "set `labels` to `auto`, a list or a file of 3 names"
            ),
        ),
        (
            "auto",
            {"names": "['a', 'b']"},
            3,
            (
                "m.onnx has 3 classes, but its metadata names 2; "
                "set `labels` to `auto`, a list or a file of 3 names"
            ),
        ),
        (
            "auto",
            {},
            3,
            (
                "m.onnx doesn't name its 3 classes; "
                "set `labels` to `coco`, a list or a text file with a name a line"
            ),
        ),
        (
            "auto",
            {},
            None,
            (
                "m.onnx doesn't name its classes; "
                "set `labels` to `coco`, a list or a text file with a name a line"
            ),
        ),
        (
            "auto",
            {"names": "part0,part1"},
            80,
            (
                "m.onnx names its classes in its metadata in a way that can't be read (`names`: part0,part1); "
                "set `labels` to a list, a text file with a name per line, or `coco`"
            ),
        ),
        (
            "auto",
            {"names": "{1: 'part1'}"},
            None,
            (
                "m.onnx names its classes in its metadata in a way that can't be read (`names`: {1: 'part1'}); "
                "set `labels` to a list, a text file with a name per line, or `coco`"
            ),
        ),
        (
            "auto",
            {"class_names": "bolt,nut," * 20},
            80,
            (
                "m.onnx names its classes in its metadata in a way that can't be read "
                f"(`class_names`: {('bolt,nut,' * 20)[:60]}...); "
                "set `labels` to a list, a text file with a name per line, or `coco`"
            ),
        ),
        ("none.txt", {}, 3, "labels of m.onnx: can't read none.txt: No such file or directory"),
    ],
)
def test_choose_labels_refuses_with_the_remedy(
    setting: str | list[str], metadata: dict[str, str], classes: int | None, message: str
) -> None:
    with pytest.raises(ModelError) as caught:
        choose_labels(setting, metadata, classes, "m.onnx")
    assert message == str(caught.value)


def test_choose_labels_takes_no_byte_order_mark_for_a_letter(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_text("\ufeffperson\r\nbicycle\r\ncar\r\n", encoding="utf-8")
    assert choose_labels(str(file), {}, 3, "m.onnx") == THREE


@pytest.mark.parametrize(
    ("setting", "metadata", "count"),
    [
        ("auto", {"names": str(dict(enumerate(THREE)))}, 3),
        ("auto", {}, 80),
        ("auto", {"names": "part0,part1"}, None),
        ("coco", {}, 80),
        (list(THREE), {}, 3),
        ("none.txt", {}, None),
    ],
)
def test_count_labels_counts_what_names_there_are(
    setting: str | list[str], metadata: dict[str, str], count: int | None
) -> None:
    assert count == count_labels(setting, metadata, "m.onnx")
