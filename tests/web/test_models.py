from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from framelane.core.frames import ModelInfo
from framelane.web.app import create_app
from framelane.web.models import router

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

    from .conftest import Daemon


def test_models_are_listed_as_configured_with_what_is_known(
    daemon: Daemon, serve: Callable[[ASGIApp], str]
) -> None:
    loaded = [ModelInfo("demo", "0" * 12, "onnxruntime", ("person", "<b>"))]
    routes = router(lambda: ["street", "demo"], lambda: loaded)
    app = create_app(daemon, lambda _accept: (b"", "text/plain"), daemon.status, None, insight=routes)
    assert httpx.get(serve(app) + "/api/models").json() == [
        {"name": "street", "backend": None, "labels": None},
        {"name": "demo", "backend": "onnxruntime", "labels": ["person", "<b>"]},
    ]
