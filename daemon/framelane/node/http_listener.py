"""Builds the HTTP listener if one is configured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from framelane.config.address import parse_listen
from framelane.core.log_tail import TAIL

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Sequence

    from fastapi import APIRouter
    from prometheus_client.registry import Collector

    from framelane.config.sections.http import HttpConfig
    from framelane.config.sections.schema import Config
    from framelane.config.sections.stream import StreamConfig
    from framelane.core.clock import Clock
    from framelane.core.frames import ModelInfo
    from framelane.live.hub import Feeds
    from framelane.telemetry.history import History
    from framelane.telemetry.meters import CountsSource
    from framelane.telemetry.sink_health import SinkHealth
    from framelane.telemetry.stats import StatsWindow
    from framelane.telemetry.status import StatusBoard
    from framelane.web.detect import Detector
    from framelane.web.event_history import HistorySource
    from framelane.web.events import EventFiles
    from framelane.web.hosts import Hosts
    from framelane.web.insight import NodeInsightReply
    from framelane.web.probes import HealthSource
    from framelane.web.rules import CountSource, RulesReply
    from framelane.web.server import HttpServer
    from framelane.web.status import StatusReply
    from framelane.web.streams import StreamEditor


@dataclass(frozen=True, slots=True)
class HttpContent:
    """Sources of the HTTP pages, and handlers of `/api/detect` and `/api/streams`."""

    health: HealthSource
    meters: CountsSource
    board: StatusBoard
    window: StatsWindow
    models: Callable[[], Iterable[ModelInfo]]
    sinks: Callable[[], Sequence[SinkHealth]]
    detector: Detector
    history: History
    feeds: Feeds
    streams: Callable[[], Sequence[StreamConfig]]
    counts: CountSource
    configured_models: Callable[[], Iterable[str]]
    past: HistorySource
    run: str
    editor: StreamEditor | None = None
    files: EventFiles | None = None


def start_http(
    config: Config, shown: HttpContent, clock: Clock, more: Callable[[], Iterable[Collector]]
) -> HttpServer | None:
    """Listen and serve; return None if no listener is configured.

    Args:
        config: the whole configuration.
        shown: the content of the pages.
        clock: the clock, for ages on the status page.
        more: returns further collectors of metrics.

    Raises:
        FramelaneError: the address can't be bound, or the certificate can't be used.
    """
    if config.http.listen is None:
        return None
    # Imported only when needed: the web stack takes memory that a small host may lack.
    from framelane.live.viewer import Viewer  # noqa: PLC0415
    from framelane.telemetry.prometheus import FramelaneCollector, MetricsPage, RequestCollector  # noqa: PLC0415
    from framelane.telemetry.requests import RequestMeter  # noqa: PLC0415
    from framelane.web.app import create_app  # noqa: PLC0415
    from framelane.web.detect import router as detect_router  # noqa: PLC0415
    from framelane.web.insight import insight  # noqa: PLC0415
    from framelane.web.live import router as live_router  # noqa: PLC0415
    from framelane.web.rules import rules  # noqa: PLC0415
    from framelane.web.server import HttpServer  # noqa: PLC0415
    from framelane.web.status import describe  # noqa: PLC0415

    board, window = shown.board, shown.window
    collector = FramelaneCollector(
        shown.meters, board, lambda: window.latest, shown.models, shown.sinks, config.node.id
    )

    def status() -> StatusReply:
        previewed = {stream.id for stream in shown.streams() if stream.preview_url is not None}
        now_s = clock.monotonic()
        return describe(config.node.id, board.node(), board.streams(), window.latest, now_s, previewed)

    def node_insight() -> NodeInsightReply:
        slots = {name: each.slots for name, each in shown.meters.snapshot().models.items()}
        return insight(window.latest, slots, shown.sinks())

    def current_rules() -> RulesReply:
        return rules(shown.streams(), shown.counts)

    token = config.http.token
    requests = RequestMeter()
    detect = None
    if config.http.detect.enabled:
        detect = detect_router(shown.detector, config.http.detect, requests, clock)
    page = MetricsPage(collector, RequestCollector(requests.snapshot), *more())
    secret = None if token is None else token.get_secret_value()
    hosts = _hosts(config.http, config.http.listen)
    app = create_app(
        shown.health,
        page,
        status,
        secret,
        detect,
        shown.editor,
        hosts,
        live_router(partial(Viewer, shown.feeds, clock), clock) if config.http.page else None,
        _insight_router(shown, node_insight, current_rules),
        config.http.hosts or (),
        _event_router(config, shown),
    )
    server = HttpServer(app, config.http.listen, _tls(config.http))
    server.start()
    return server


def _insight_router(
    shown: HttpContent, node: Callable[[], NodeInsightReply], rules: Callable[[], RulesReply]
) -> APIRouter:
    from fastapi import APIRouter  # noqa: PLC0415

    from framelane.web.insight import router as insight_router  # noqa: PLC0415
    from framelane.web.log_lines import router as log_router  # noqa: PLC0415
    from framelane.web.models import router as model_router  # noqa: PLC0415

    routes = APIRouter()
    routes.include_router(insight_router(shown.history, node, rules))
    routes.include_router(log_router(lambda after, faults: TAIL.lines(after, faults_only=faults), shown.run))
    routes.include_router(model_router(shown.configured_models, shown.models))
    return routes


def _event_router(config: Config, shown: HttpContent) -> APIRouter:
    from fastapi import APIRouter  # noqa: PLC0415

    from framelane.footage.address import base_url  # noqa: PLC0415
    from framelane.web.event_history import router as history_router  # noqa: PLC0415

    routes = APIRouter()
    routes.include_router(history_router(shown.past, shown.files, base_url(config)))
    if shown.files is not None:
        from framelane.footage.jpegs import annotated  # noqa: PLC0415
        from framelane.web.events import router as file_router  # noqa: PLC0415

        routes.include_router(file_router(shown.files, annotated))
    return routes


def _hosts(http: HttpConfig, listen: str) -> Hosts | None:
    """Return the allowed host names; None for any.

    A token is better proof than a host name. So with a token only a configured list limits the names.
    """
    if http.hosts is None and http.token is not None:
        return None
    from framelane.web.hosts import Hosts  # noqa: PLC0415

    return Hosts(parse_listen(listen)[0], http.hosts or ())


def _tls(http: HttpConfig) -> ssl.SSLContext | None:
    if http.cert_file is None or http.key_file is None:
        return None
    from framelane.web.tls import Certificate  # noqa: PLC0415

    return Certificate(http.cert_file, http.key_file).context
