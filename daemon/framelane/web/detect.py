"""`POST /api/detect`: detects objects in an uploaded image, through the same batchers as the streams."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import orjson
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from framelane.core.errors import RequestError
from framelane.messages.detections import objects_of
from framelane.web.admission import Admission
from framelane.web.body import read_body
from framelane.web.image import DECODERS, check_media_type, decode_picture
from framelane.web.problem import ProblemError, documented, invalid, problem_response

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from av import VideoFrame

    from framelane.config.sections.detect import DetectConfig
    from framelane.core.clock import Clock
    from framelane.core.frames import Result

# By RequestError's reason; all others are temporary and get 503.
_STATUSES = {
    "unknown": HTTPStatus.UNPROCESSABLE_ENTITY,
    "late": HTTPStatus.GATEWAY_TIMEOUT,
}
REFUSALS = (408, 413, 415, 422, 429, 503, 504)
"""Statuses other than 200 of this route; 401 comes from the middleware."""
_Name = Annotated[
    str | None, Query(min_length=1, max_length=64, description="Name of the model; the first one by default.")
]
_Unit = Annotated[
    float | None,
    Query(ge=0, le=1, allow_inf_nan=False, description="Least confidence; the model's own by default."),
]


class Detector(Protocol):
    """Detects objects in images."""

    def check(self) -> None:
        """Raise RequestError if no image can be processed now."""
        ...

    def detect(self, image: VideoFrame, model: str | None, confidence: float | None) -> Result:
        """Return what a model finds in an image; blocks. Raises RequestError if it can't."""
        ...


class RequestMeter(Protocol):
    """Counts requests."""

    def request_done(self, status: int, took_s: float) -> None:
        """Count a request answered with this status after `took_s`."""
        ...


class ModelReply(BaseModel):
    """The model that ran."""

    name: str
    hash: str
    backend: str


class ObjectReply(BaseModel):
    """An object in the image."""

    label: str
    class_id: int
    confidence: float
    box: list[float] = Field(description="[x1, y1, x2, y2] in pixels of the image.")
    box_norm: list[float] = Field(description="The box divided by width and height, 0 to 1.")
    mask: list[list[int]] | None = Field(
        default=None,
        description="Outlines, each [x1, y1, x2, y2, ...] in pixels; only from a segmentation model.",
    )
    keypoints: list[list[float]] | None = Field(
        default=None, description="Points [x, y, confidence] in pixels; only from a pose model."
    )
    angle: float | None = Field(
        default=None,
        description="How far the box is turned clockwise, in radians; only from a model of oriented boxes.",
    )
    corners: list[list[float]] | None = Field(
        default=None, description="Corners [x, y] of the turned box in pixels; only with `angle`."
    )


_OBJECT = frozenset(ObjectReply.model_fields)


class LatencyReply(BaseModel):
    """Durations in milliseconds."""

    decode: float = Field(description="Decoding the image.")
    queue: float = Field(description="Waiting for the start of its batch.")
    infer: float = Field(description="From the start of its batch to its detections.")
    total: float = Field(description="From the complete upload to the reply.")


class DetectReply(BaseModel):
    """What was found in an image; detections are sorted by confidence, highest first."""

    model: ModelReply
    width: int
    height: int
    detections: list[ObjectReply]
    latency_ms: LatencyReply


def router(detector: Detector, config: DetectConfig, meter: RequestMeter, clock: Clock) -> APIRouter:
    """Return the route.

    Args:
        detector: detects objects; called on a thread pool, at most `in_flight` calls at once.
        config: the route's limits.
        meter: counts requests.
        clock: the clock of the rate limit.
    """
    routes = APIRouter(prefix="/api", tags=["detect"], route_class=_metered(meter))
    gate = Admission(config.in_flight, config.rate, clock)
    content = {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in DECODERS}
    body = {"requestBody": {"required": True, "content": content}}

    @routes.post("/detect", response_model=DetectReply, responses=documented(REFUSALS), openapi_extra=body)
    async def detect(request: Request, model: _Name = None, confidence: _Unit = None) -> Response:
        """Detect objects in the image that is the body: JPEG, PNG or WebP, as `Content-Type` says.

        The image takes its turn among the frames of the streams. It is neither stored nor published.
        """
        detector.check()
        with gate.enter():
            media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            check_media_type(media_type)
            data = await _upload(request, config)
            most_pixels = int(config.max_megapixels * 1e6)

            def work() -> bytes:
                began_s = time.perf_counter()
                image = decode_picture(data, media_type, most_pixels)
                decoded_s = time.perf_counter()
                result = detector.detect(image, model, confidence)
                return _reply(result, decoded_s - began_s, time.perf_counter() - began_s)

            # The reply is encoded on the pool too. The response model need not validate our own data.
            return Response(await run_in_threadpool(work), media_type="application/json")

    return routes


def _metered(meter: RequestMeter) -> type[APIRoute]:
    """Return a route class that counts replies and turns refusals into problem replies."""

    class MeteredRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def metered(request: Request) -> Response:
                began_s = time.perf_counter()
                status = int(HTTPStatus.INTERNAL_SERVER_ERROR)
                try:
                    response = await _answer(handle, request)
                    # It may be an HTTPStatus, which Python 3.10 formats by name.
                    status = int(response.status_code)
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


def _reply(result: Result, decode_s: float, total_s: float) -> bytes:
    """Return an encoded DetectReply."""
    model, frame = result.model, result.frame
    objects = objects_of(result.detections, model.labels, frame.width, frame.height)
    return orjson.dumps(
        {
            "model": {"name": model.name, "hash": model.hash, "backend": model.backend},
            "width": frame.width,
            "height": frame.height,
            "detections": [
                {name: value for name, value in each.items() if name in _OBJECT} for each in objects
            ],
            "latency_ms": {
                "decode": _ms(decode_s),
                "queue": _ms(result.queued_s),
                "infer": _ms(result.inferred_s),
                "total": _ms(total_s),
            },
        }
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 1)
