"""Whatever a model, a camera or an operator's label file says, a message is JSON that its schema takes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.sinks.examples import checked

from framelane.core.frames import Detections, FrameInfo, ModelInfo, Result
from framelane.messages.detections import Origin, as_replayed, detections_message
from framelane.messages.reports import state_message, status_message
from framelane.telemetry.states import NodeState, StreamDetails, StreamState

MOST = 8
ANY_FLOAT32 = st.floats(width=32)
# What a label file, a camera's answer or an error text may hold; surrogates can't be in a text that was decoded.
ODD_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,10}", fullmatch=True)
SIZES = st.integers(1, 1 << 16)
# Cameras lie about the time, and by how much: from 1900 (NTP's zero) to 2200.
UNIX_TIMES = st.floats(-2_208_988_800, 7_258_118_400)
SECONDS = st.floats(0, 1e6)


@st.composite
def detections(draw: st.DrawFn) -> Detections:
    count = draw(st.integers(0, MOST))
    numbers = draw(st.lists(ANY_FLOAT32, min_size=count * 5, max_size=count * 5))
    table = np.array(numbers, np.float32).reshape(count, 5)
    class_id = draw(st.lists(st.integers(0, 2**31 - 1), min_size=count, max_size=count))
    tracks = draw(st.none() | st.lists(st.integers(0, 2**63 - 1), min_size=count, max_size=count))
    return Detections(
        table[:, :4],
        table[:, 4],
        np.array(class_id, np.int32),
        None if tracks is None else np.array(tracks, np.int64),
    )


@st.composite
def results(draw: st.DrawFn) -> Result:
    info = FrameInfo(
        draw(NAMES),
        draw(st.integers(0, 1 << 40)),
        draw(st.floats(-1e9, 1e9)),
        draw(UNIX_TIMES),
        draw(st.sampled_from(["rtcp", "receive", "media"])),
        draw(SECONDS),
        draw(SIZES),
        draw(SIZES),
    )
    labels = draw(st.lists(ODD_TEXTS.filter(bool), max_size=4))
    model = ModelInfo(draw(NAMES), "695e750a5d57", "onnxruntime", tuple(labels))
    return Result(info, model, draw(detections()), draw(SECONDS), draw(SECONDS))


def within(value: float, most: float) -> bool:
    return 0 <= value <= most


@given(result=results(), dropped=st.integers(0, 1 << 40), total_s=SECONDS)
def test_any_result_makes_a_message_that_keeps_the_contract(
    result: Result, dropped: int, total_s: float
) -> None:
    message = detections_message(Origin("gate-01", "run-1"), result, seq=1, dropped=dropped, total_s=total_s)

    body = checked(message)
    finite = np.isfinite(result.detections.xyxy).all(axis=1) & np.isfinite(result.detections.confidence)
    assert int(finite.sum()) == len(body["detections"])
    for each in body["detections"]:
        assert within(each["confidence"], 1)
        assert all(map(within, each["box"], [result.frame.width, result.frame.height] * 2))
        assert all(within(value, 1) for value in each["box_norm"])
    assert checked(as_replayed(message)) == {**body, "replayed": True}


@given(
    reason=NAMES,
    text=ODD_TEXTS,
    since=UNIX_TIMES,
    codec=st.none() | ODD_TEXTS.filter(bool),
    size=st.none() | SIZES,
    fps=st.none() | st.floats(min_value=0, exclude_min=True),
)
def test_any_state_makes_a_message_that_keeps_the_contract(
    reason: str, text: str, since: float, codec: str | None, size: int | None, fps: float | None
) -> None:
    details = StreamDetails(codec, size, size, fps, "cpu", "rtcp")
    state: Any = StreamState("lobby", "down", reason, text, since, details=details)

    body = checked(state_message(Origin("gate-01", "run-1"), state))
    assert body["text"] == text
    assert body["video"]["fps"] == (None if fps is None or math.isinf(fps) else fps)
    status = NodeState("degraded", reason, text, since)
    assert checked(status_message(Origin("gate-01", "run-1"), status))["text"] == text
