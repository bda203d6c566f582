"""Puts the HTTP listener together, where the configuration asks for one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

    from prometheus_client.registry import Collector

    from framelane.config.schema import Config, HttpConfig
    from framelane.core.clock import Clock
    from framelane.core.frames import ModelInfo
    from framelane.telemetry.meters import CountsSource
    from framelane.telemetry.prometheus import SinkInfo
    from framelane.telemetry.stats import StatsWindow
    from framelane.telemetry.status import StatusBoard
    from framelane.web.detect import Detector
    from framelane.web.probes import HealthSource
    from framelane.web.server import HttpServer
    from framelane.web.status import StatusReply
    from framelane.web.streams import StreamEditor


@dataclass(frozen=True, slots=True)
class Shown:
    """What the pages show: sources of metrics, states and verdicts; who answers `/api/detect` and `/api/streams`."""

    health: HealthSource
    meters: CountsSource
    board: StatusBoard
    window: StatsWindow
    models: Callable[[], Iterable[ModelInfo]]
    mqtt: SinkInfo | None
    detector: Detector
    editor: StreamEditor | None = None


def start_http(
    config: Config, shown: Shown, clock: Clock, more: Callable[[], Iterable[Collector]] = tuple
) -> HttpServer | None:
    """Listen and serve; None where no listener is configured.

    Args:
        config: the whole configuration.
        shown: what to show.
        clock: for ages on the status page.
        more: makes further collectors of metrics.

    Raises:
        FramelaneError: the address can't be had, or the certificate can't be used.
    """
    if config.http.listen is None:
        return None
    # Imported only where they are asked for: the web stack takes memory that a small host may lack.
    from framelane.telemetry.prometheus import FramelaneCollector, MetricsPage, RequestCollector  # noqa: PLC0415
    from framelane.telemetry.requests import RequestMeter  # noqa: PLC0415
    from framelane.web.app import create_app  # noqa: PLC0415
    from framelane.web.detect import router as detect_router  # noqa: PLC0415
    from framelane.web.server import HttpServer  # noqa: PLC0415
    from framelane.web.status import describe  # noqa: PLC0415

    board, window = shown.board, shown.window
    collector = FramelaneCollector(shown.meters, board, lambda: window.latest, shown.models, shown.mqtt)

    def status() -> StatusReply:
        return describe(config.node.id, board.node(), board.streams(), window.latest, clock.monotonic())

    token = config.http.token
    requests = RequestMeter()
    detect = None
    if config.http.detect.enabled:
        detect = detect_router(shown.detector, config.http.detect, requests, clock)
    page = MetricsPage(collector, RequestCollector(requests.snapshot), *more())
    secret = None if token is None else token.get_secret_value()
    app = create_app(shown.health, page, status, secret, detect, shown.editor)
    server = HttpServer(app, config.http.listen, _tls(config.http))
    server.start()
    return server


def _tls(http: HttpConfig) -> ssl.SSLContext | None:
    if http.cert_file is None or http.key_file is None:
        return None
    from framelane.web.tls import Certificate  # noqa: PLC0415

    return Certificate(http.cert_file, http.key_file).context
