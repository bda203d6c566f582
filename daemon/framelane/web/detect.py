"""`POST /api/detect`: a picture in, the objects in it out, by way of the same batcher as the streams."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from framelane.core.errors import RequestError
from framelane.web.body import read_body
from framelane.web.gate import Gate
from framelane.web.picture import DECODERS, check_media_type, decode_picture
from framelane.web.problem import ProblemError, documented, invalid, problem_response

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from av import VideoFrame
    from starlette.responses import Response

    from framelane.config.detect import DetectConfig
    from framelane.core.clock import Clock
    from framelane.core.frames import Result

# By RequestError's reason; 503 for all others, which are reasons why not now.
_STATUSES = {
    "unknown": HTTPStatus.UNPROCESSABLE_ENTITY,
    "elsewhere": HTTPStatus.NOT_IMPLEMENTED,
    "late": HTTPStatus.GATEWAY_TIMEOUT,
}
REFUSALS = (408, 413, 415, 422, 429, 501, 503, 504)
"""What else than 200 a request may get; 401 comes from the guard."""
_Name = Annotated[
    str | None, Query(min_length=1, max_length=64, description="Name of the model; the first one by default.")
]
_Unit = Annotated[
    float | None,
    Query(ge=0, le=1, allow_inf_nan=False, description="Least confidence; the model's own by default."),
]


class Detector(Protocol):
    """Who finds objects in pictures."""

    def check(self) -> None:
        """Raise RequestError where no picture can be looked at, whatever it is."""
        ...

    def detect(self, picture: VideoFrame, model: str | None, confidence: float | None) -> Result:
        """Find them; takes its time, and raises RequestError where it can't."""
        ...

    def objects(self, result: Result) -> list[dict[str, Any]]:
        """What was found, as `detections` of MQTT's messages."""
        ...


class RequestMeter(Protocol):
    """Counts requests."""

    def request_done(self, status: int, took_s: float) -> None:
        """A request was answered with this status, so long after it began."""
        ...


class ModelReply(BaseModel):
    """The model that ran."""

    name: str
    hash: str
    backend: str


class ObjectReply(BaseModel):
    """An object in the picture."""

    label: str
    class_id: int
    confidence: float
    box: list[float] = Field(description="[x1, y1, x2, y2] in pixels of the picture.")
    box_norm: list[float] = Field(description="The same over width and height, 0 to 1.")


class LatencyReply(BaseModel):
    """Milliseconds that it took."""

    decode: float = Field(description="To decode the picture.")
    queue: float = Field(description="From then to the start of its batch.")
    infer: float = Field(description="From then to its detections.")
    total: float = Field(description="From the whole upload in hand to the answer.")


class DetectReply(BaseModel):
    """What was found in a picture; objects come best first."""

    model: ModelReply
    width: int
    height: int
    detections: list[ObjectReply]
    latency_ms: LatencyReply


def router(detector: Detector, config: DetectConfig, meter: RequestMeter, clock: Clock) -> APIRouter:
    """The route.

    Args:
        detector: called on threads of its own, at most `in_flight` at once.
        config: its limits.
        meter: counts requests.
        clock: for the rate.
    """
    routes = APIRouter(prefix="/api", tags=["detect"], route_class=_metered(meter))
    gate = Gate(config.in_flight, config.rate, clock)
    content = {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in DECODERS}
    body = {"requestBody": {"required": True, "content": content}}

    @routes.post("/detect", responses=documented(REFUSALS), openapi_extra=body)
    async def detect(request: Request, model: _Name = None, confidence: _Unit = None) -> DetectReply:
        """Find objects in the picture that is the body: JPEG, PNG or WebP, its `Content-Type` saying which.

        It takes its turn among the frames of the streams. Nothing of it is kept or published.
        """
        detector.check()
        with gate.enter():
            media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            check_media_type(media_type)
            data = await _upload(request, config)
            most_pixels = int(config.max_megapixels * 1e6)

            def work() -> DetectReply:
                began_s = time.perf_counter()
                picture = decode_picture(data, media_type, most_pixels)
                decoded_s = time.perf_counter()
                result = detector.detect(picture, model, confidence)
                return _reply(
                    result, detector.objects(result), decoded_s - began_s, time.perf_counter() - began_s
                )

            return await run_in_threadpool(work)

    return routes


def _metered(meter: RequestMeter) -> type[APIRoute]:
    """Routes that count what they answer, and answer what is refused as a problem."""

    class MeteredRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def metered(request: Request) -> Response:
                began_s = time.perf_counter()
                status = int(HTTPStatus.INTERNAL_SERVER_ERROR)
                try:
                    response = await _answer(handle, request)
                    status = int(response.status_code)  # an HTTPStatus, which Python 3.10 writes by its name
                finally:
                    meter.request_done(status, time.perf_counter() - began_s)
                return response

            return metered

    return MeteredRoute


async def _answer(handle: Callable[[Request], Coroutine[Any, Any, Response]], request: Request) -> Response:
    try:
        return await handle(request)
    except ProblemError as problem:
        return problem_response(problem)
    except RequestError as error:
        return problem_response(
            ProblemError(_STATUSES.get(error.reason, HTTPStatus.SERVICE_UNAVAILABLE), str(error))
        )
    except RequestValidationError as error:
        return problem_response(invalid(error))


async def _upload(request: Request, config: DetectConfig) -> bytes:
    close = {"Connection": "close"}
    larger = f"more than {config.max_megabytes:g} MB: send it smaller, or raise http.detect.max_megabytes"
    slower = f"the upload was not complete within {config.timeout_s:g} s"
    return await read_body(
        request,
        int(config.max_megabytes * 1e6),
        config.timeout_s,
        too_large=ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, larger, close),
        too_slow=ProblemError(HTTPStatus.REQUEST_TIMEOUT, slower, close),
    )


def _reply(result: Result, objects: list[dict[str, Any]], decode_s: float, total_s: float) -> DetectReply:
    model, frame = result.model, result.frame
    latency_ms = LatencyReply(
        decode=_ms(decode_s), queue=_ms(result.queued_s), infer=_ms(result.inferred_s), total=_ms(total_s)
    )
    return DetectReply(
        model=ModelReply(name=model.name, hash=model.hash, backend=model.backend),
        width=frame.width,
        height=frame.height,
        detections=[ObjectReply(**each) for each in objects],
        latency_ms=latency_ms,
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 1)
