"""Each request to a worker process gets its own answer, or one that says that the process is gone."""

from __future__ import annotations

from typing import Any

import av
import pytest
from tests.sinks.examples import result

from framelane.core.errors import RequestError
from framelane.fleet.image_requests import ImageRequests
from framelane.fleet.packed_image import PackedImage
from framelane.fleet.protocol import Detect, Detected

IMAGE = PackedImage.of(av.VideoFrame(16, 16, "yuv420p"))


class Process:
    """Takes orders, and may end at any of them."""

    def __init__(self, *, ends: bool = False) -> None:
        self.orders: list[Detect] = []
        self.gone = False
        self._ends = ends

    def tell(self, order: Detect) -> None:
        self.orders.append(order)
        self.gone = self._ends


def ask(requests: ImageRequests, process: Any, model: str | None = None) -> Any:
    return requests.ask(process, IMAGE, model, 0.5)


def test_answers_find_their_requests_in_any_order() -> None:
    requests, process = ImageRequests(), Process()
    answers = [ask(requests, process, model) for model in ("a", "b")]
    assert [(each.model, each.confidence, each.image) for each in process.orders] == [
        ("a", 0.5, IMAGE),
        ("b", 0.5, IMAGE),
    ]
    for number in (1, 0):
        requests.take(Detected(process.orders[number].number, result(number)))
    assert [answer.result(0).frame.index for answer in answers] == [0, 1]


def test_refusal_of_the_worker_is_passed_on() -> None:
    requests, process = ImageRequests(), Process()
    answer = ask(requests, process)
    requests.take(Detected(process.orders[0].number, None, ("model", "there is no such model")))
    with pytest.raises(RequestError, match="there is no such model") as found:
        answer.result(0)
    assert found.value.reason == "model"


def test_answer_that_nobody_waits_for_is_ignored() -> None:
    requests, process = ImageRequests(), Process()
    answer = ask(requests, process)
    requests.take(Detected(999, result()))
    assert not answer.done()
    requests.fail()
    requests.take(Detected(process.orders[0].number, result()))
    assert answer.done()


@pytest.mark.parametrize("process", [None, Process(ends=True)], ids=["none runs", "ends at once"])
def test_request_without_a_process_fails_at_once(process: Process | None) -> None:
    with pytest.raises(RequestError, match="the worker process has ended and is being restarted") as found:
        ask(ImageRequests(), process).result(0)
    assert found.value.reason == "starting"


def test_process_that_ends_fails_all_that_wait_for_it() -> None:
    requests, process = ImageRequests(), Process()
    answers = [ask(requests, process) for _ in range(3)]
    requests.fail()
    assert {type(answer.exception(0)) for answer in answers} == {RequestError}
