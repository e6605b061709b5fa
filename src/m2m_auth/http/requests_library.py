"""requests: how its requests and responses are read, and how a request is sent again."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import requests
from requests.utils import requote_uri
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from ..errors import M2MAuthError, also_a
from ..oauth2.origins import Origin, origin_of
from ..oauth2.transport import MAX_BODY
from ..source.flight import launches_inline
from .body_replay import rewind
from .http_library import HttpLibrary

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

__all__ = ["RequestsLibrary"]


class RequestsLibrary(HttpLibrary):
    """The prepared requests and the responses of requests."""

    name = "requests"

    def own_error(self, error: M2MAuthError, request: PreparedRequest) -> M2MAuthError:
        """Also a ``RequestException``."""
        return also_a(error, requests.RequestException, request=request, response=None)

    def site(self, request: PreparedRequest) -> str | None:
        """The URL up to the slash that ends its authority: every URL that begins like this has the same origin."""
        scheme, _, rest = (request.url or "").partition("://")
        authority, slash, _ = rest.partition("/")
        return f"{scheme}://{authority}/" if slash else None

    def target(self, request: PreparedRequest) -> str:
        """The URL."""
        return request.url or ""

    def start_of_body(self, request: PreparedRequest) -> int | None:
        """The position that requests recorded when it prepared the request."""
        start = getattr(request, "_body_position", None)
        return start if isinstance(start, int) else None

    def status(self, response: Response) -> int:
        """Its ``status_code``."""
        return response.status_code

    def read(self, response: Response) -> tuple[Mapping[str, str], PreparedRequest]:
        """The headers and the request of this response."""
        return response.headers, response.request

    def replay(self, response: Response, start: int | None) -> PreparedRequest | None:
        """A copy with its body rewound; None also for a response that did not come from an adapter."""
        replay = response.request.copy()
        body: Any = replay.body
        if getattr(response, "connection", None) is None:
            return None
        if body is None or isinstance(body, (str, bytes)):
            return replay
        return replay if rewind(body, start) else None

    def set_cookies(self, response: Response) -> list[str]:
        """As the connection received them: requests joins several headers of one name by commas."""
        headers: Any = getattr(response.raw, "headers", None)
        if hasattr(headers, "getlist"):
            return list(headers.getlist("Set-Cookie"))
        joined = response.headers.get("Set-Cookie")
        return [] if joined is None else [joined]

    def body(self, response: Response, *, streams: bool) -> bytes:
        """What ``response.content`` is; for a streaming call only if its Content-Length says that it is small."""
        if streams:
            length = response.headers.get("Content-Length", "")
            if not length.isdigit() or int(length) > MAX_BODY:
                return b""
        return (response.content or b"")[:MAX_BODY]

    def leads_away(self, response: Response, origin: Origin) -> bool:
        """True for a redirect to another origin; also if that is in doubt.

        requests drops no header but Authorization there. The redirect's URL is read by both parsers that requests uses.
        """
        location = response.headers.get("Location") if response.is_redirect else None
        if location is None:
            return False
        try:
            url = urljoin(response.url, requote_uri(location.encode("latin1").decode("utf-8")))
            parsed = parse_url(url)
            connected = origin_of(f"{parsed.scheme}://{parsed.netloc}")
            return origin_of(url) != origin or connected != origin
        except (ValueError, HTTPError, requests.RequestException):
            return True

    def close(self, response: Response) -> None:
        """Returns its connection to the pool, or ends it if there is more to read."""
        response.close()

    def followed(self, response: Response) -> tuple[()]:  # noqa: ARG002
        """None: the hook is called for each redirect."""
        return ()

    def elapsed(self, response: Response) -> float:
        """As the session has measured it."""
        return response.elapsed.total_seconds()


def _is_inside_of_requests_mock() -> bool:
    """True on a thread that holds the lock of requests-mock: one thread at a time is in its ``Session.send``.

    The response hook that replays after a 401 is called in there.
    """
    lock = getattr(sys.modules.get("requests_mock.mocker"), "_send_lock", None)
    is_owned = getattr(lock, "_is_owned", None)
    return is_owned is not None and bool(is_owned())


launches_inline.append(_is_inside_of_requests_mock)
