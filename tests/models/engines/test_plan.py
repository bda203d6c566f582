"""Slots and buckets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.models import tiny_models

from framelane.config.sections.engine import EngineConfig
from framelane.config.sections.model import ModelConfig
from framelane.models.artifact import Artifact
from framelane.models.engines.plan import Plan, buckets

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [
        (1, 1, (1,)),
        (1, 2, (1, 2)),
        (1, 16, (1, 4, 16)),
        (2, 8, (4, 8)),
        (16, 16, (16,)),
        (1, 100, (1, 4, 16, 64, 100)),
    ],
)
def test_buckets_grow_by_four_up_to_the_most(least: int, most: int, expected: tuple[int, ...]) -> None:
    assert buckets(least, most) == expected


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    return Artifact.open(tiny_models.save(tmp_path / "m.onnx", [tiny_models.yolov8([])]))


def test_plan_is_sixteen_pictures_in_two_slots_by_default(artifact: Artifact) -> None:
    plan = Plan.of(ModelConfig(path="m.onnx"), artifact)
    assert (plan.slots, plan.buckets, plan.most) == (2, (1, 4, 16), 16)
    assert [plan.bucket_for(count) for count in (1, 3, 16)] == [1, 4, 16]


def test_plan_is_what_the_section_says(artifact: Artifact) -> None:
    config = ModelConfig(path="m.onnx", batch=8, slots=3, engine=EngineConfig(min_batch=4))
    assert Plan.of(config, artifact) == Plan(3, (4, 8))
