"""Who answers `/api/detect`: this process's models, or nobody where they run in others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from framelane.core.errors import RequestError
from framelane.sinks.message import objects_of

if TYPE_CHECKING:
    from av import VideoFrame

    from framelane.core.frames import Result
    from framelane.inference.stills import Stills


class StillDetector:
    """Finds objects with the models of this process.

    Args:
        stills: the way through their batchers.
        timeout_s: how long an answer may take.
    """

    def __init__(self, stills: Stills, timeout_s: float) -> None:
        self._stills = stills
        self._timeout_s = timeout_s

    def check(self) -> None:
        """Raise RequestError while no model can answer."""
        self._stills.check()

    def detect(self, picture: VideoFrame, model: str | None, confidence: float | None) -> Result:
        """Find objects in a picture, in its turn; raises RequestError where that can't be."""
        return self._stills.infer(picture, model, confidence, self._timeout_s)

    def objects(self, result: Result) -> list[dict[str, Any]]:
        """What was found, as `detections` of MQTT's messages."""
        frame = result.frame
        return objects_of(result.detections, result.model.labels, frame.width, frame.height)


class ElsewhereDetector:
    """Finds nothing: with several processes the one that listens has no model, and the others don't listen."""

    def check(self) -> NoReturn:
        """Say so."""
        text = (
            "the models run in worker processes, which take no pictures: that needs `workers: 1` and one GPU"
        )
        raise RequestError("elsewhere", text)

    def detect(self, picture: VideoFrame, model: str | None, confidence: float | None) -> NoReturn:  # noqa: ARG002
        """Say so."""
        self.check()

    def objects(self, result: Result) -> NoReturn:  # noqa: ARG002 - there is none
        """Say so."""
        self.check()
