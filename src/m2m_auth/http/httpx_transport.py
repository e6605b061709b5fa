"""The transport over httpx or httpx2, for token requests; the library is an argument."""

from __future__ import annotations

import time
from typing import Any

from ..errors import ConfigurationError
from ..oauth2.transport import MAX_BODY, HttpRequest, HttpResponse, Transport, TransportError, describe

__all__ = ["transport_over"]


def transport_over(library: Any, client: Any) -> Transport:
    """A transport over the user's client, or over a new private one for each token request.

    Token requests are rare, and a connection kept between them would not survive a fork.
    """
    if client is not None and not isinstance(client, library.Client):
        raise ConfigurationError(
            f"transport={type(client).__name__} of {library.__name__} cannot send a token request, which runs "
            f"on a thread without an event loop. Fix: pass a {library.__name__}.Client"
        )

    def transport(request: HttpRequest) -> HttpResponse:
        if client is not None:
            return _send(library, client, request)
        with library.Client() as private:
            return _send(library, private, request)

    return transport


def _no_auth(request: Any) -> Any:
    """With an auth of its own, the token request does not use the client's ``auth``."""
    return request


def _send(library: Any, client: Any, request: HttpRequest) -> HttpResponse:
    deadline = time.monotonic() + request.timeout
    problem: tuple[str, str]
    try:
        with client.stream(
            request.method,
            request.url,
            content=request.body,
            headers=dict(request.headers),
            auth=_no_auth,
            timeout=library.Timeout(request.timeout * 0.7, connect=request.timeout * 0.3),
            follow_redirects=False,
        ) as response:
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_BODY:
                    break
                if time.monotonic() > deadline:
                    raise library.ReadTimeout("deadline")
            return HttpResponse(response.status_code, response.headers, bytes(body[:MAX_BODY]))
    except library.HTTPStatusError as error:  # raised by an event hook of the user's client
        return HttpResponse(error.response.status_code, error.response.headers, b"")
    except library.TimeoutException:
        problem = f"no answer within {request.timeout:g} s", "timeout"
    except (library.HTTPError, library.InvalidURL) as error:
        words = describe(error)
        problem = (f"TLS failed: {words}", "tls") if "SSL" in words else (words, "connection")
    # Outside of the except clause, so that the library's exception, which holds the request, is not chained.
    raise TransportError(f"The token endpoint {request.url} cannot be reached: {problem[0]}", problem[1])
