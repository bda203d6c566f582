"""HTTP requests with urllib: proxies and authorities as the environment says, and logins kept to their host."""

from __future__ import annotations

import base64
import ssl
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from framelane import __version__
from framelane.models.catalog.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message
    from http.client import HTTPResponse
    from typing import IO

TIMEOUT_S = 30.0
_AUTHORIZATION = "Authorization"


def get(url: str, headers: Mapping[str, str], timeout_s: float = TIMEOUT_S) -> HTTPResponse:
    """Return the answer to a GET request, after redirects.

    `http_proxy`, `https_proxy` and `no_proxy` choose a proxy; `SSL_CERT_FILE` and `SSL_CERT_DIR` add to the
    authorities, as OpenSSL does. The `user:password@` of the URL is sent to its host alone.

    Raises:
        FetchError: the server redirects to an address that is not safe to follow.
        OSError: there is no answer, or not a good one (urllib's HTTPError).
    """
    address, login = _without_login(url)
    agent = {"User-Agent": f"framelane/{__version__}", "Accept-Encoding": "identity"}
    request = Request(address, headers={**agent, **headers})  # noqa: S310 - the catalog allows web addresses only
    if login:
        # Not copied into redirected requests, unlike other headers.
        request.add_unredirected_header(_AUTHORIZATION, login)
    opener = OpenerDirector()
    context = ssl.create_default_context()
    handlers = (
        ProxyHandler(),
        HTTPHandler(),
        HTTPSHandler(context=context),
        _Redirects(),
        HTTPErrorProcessor(),
        HTTPDefaultErrorHandler(),
    )
    for handler in handlers:
        opener.add_handler(handler)
    response: HTTPResponse = opener.open(request, timeout=timeout_s)
    return response


def _without_login(url: str) -> tuple[str, str]:
    """Return the URL without `user:password@`, and these as an Authorization header; empty if there are none."""
    parts = urlsplit(url)
    if parts.username is None:
        return url, ""
    host = parts.netloc.rpartition("@")[2]
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return urlunsplit(parts._replace(netloc=host)), f"Basic {base64.b64encode(pair.encode()).decode()}"


class _Redirects(HTTPRedirectHandler):
    """Follows redirects to web servers, but never from https:// to http://."""

    # Python 3.10 does not know 308.
    http_error_308 = HTTPRedirectHandler.http_error_302

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Request:
        """Return the request for the new address.

        Raises:
            FetchError: the address is no web server's, or would be asked without encryption.
        """
        del code, msg, headers
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        if after.scheme not in (("https",) if before.scheme == "https" else ("http", "https")):
            fp.close()
            raise FetchError(
                f"{before.hostname} redirects from {before.scheme}:// to {after.scheme}://{after.hostname}, "
                "which is not followed; ask for the address behind it, and name it with --catalog"
            )
        request = Request(newurl, headers=dict(req.headers), origin_req_host=req.origin_req_host)  # noqa: S310
        login = req.unredirected_hdrs.get(_AUTHORIZATION)
        if login is not None and (before.scheme, before.netloc) == (after.scheme, after.netloc):
            request.add_unredirected_header(_AUTHORIZATION, login)
        return request
