"""The transport over requests, for token requests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..errors import ConfigurationError, missing_extra
from ..oauth2.transport import MAX_BODY, HttpRequest, HttpResponse, Transport, TransportError, describe

try:
    import requests
    from urllib3.exceptions import HTTPError, TimeoutError  # noqa: A004 - what reading a response raises
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(missing_extra("m2m_auth.requests", error, "requests"), name=error.name) from None

if TYPE_CHECKING:
    from requests import PreparedRequest, Response, Session

__all__ = ["transport_over"]


def _no_auth(request: PreparedRequest) -> PreparedRequest:
    """With an auth, requests does not read ~/.netrc, which would replace the client's own authentication."""
    return request


def transport_over(library: object, session: Session | None) -> Transport:  # noqa: ARG001
    """A transport over the user's session, or over a new private one for each token request.

    Token requests are rare, and a connection kept between them would not survive a fork.
    """
    if session is not None and not isinstance(session, requests.Session):
        raise ConfigurationError(f"transport={type(session).__name__} is not a requests.Session")

    def transport(request: HttpRequest) -> HttpResponse:
        if session is not None:
            return _send(session, request)
        with requests.Session() as private:
            return _send(private, request)

    return transport


def _send(session: Session, request: HttpRequest) -> HttpResponse:
    deadline = time.monotonic() + request.timeout
    problem: tuple[str, str]
    try:
        with session.request(
            request.method,
            request.url,
            # As text, which is what requests makes of a form: the matchers of `responses` expect it.
            data=request.body.decode() if request.body.isascii() else request.body,
            headers=dict(request.headers),
            auth=_no_auth,
            timeout=(request.timeout * 0.3, request.timeout * 0.7),  # to connect, to answer
            allow_redirects=False,
            stream=True,
        ) as response:
            return HttpResponse(response.status_code, response.headers, _read(response, deadline))
    except requests.exceptions.SSLError as error:
        problem = f"TLS failed: {describe(error)}", "tls"
    except requests.exceptions.HTTPError as error:  # raised by a response hook of the user's session
        return HttpResponse(error.response.status_code, error.response.headers, b"")
    except (requests.exceptions.Timeout, TimeoutError):
        problem = f"no answer within {request.timeout:g} s", "timeout"
    except (requests.exceptions.RequestException, HTTPError) as error:
        problem = describe(error), "connection"
    # Outside of the except clause, so that the library's exception, which holds the request, is not chained.
    raise TransportError(f"The token endpoint {request.url} cannot be reached: {problem[0]}", problem[1])


def _read(response: Response, deadline: float) -> bytes:
    """The body in the pieces that arrive, so that a server that drips cannot delay the flight past its deadline."""
    body = bytearray()
    read = getattr(response.raw, "read1", None) or response.raw.read
    while len(body) <= MAX_BODY:
        chunk = read(65536, decode_content=True)
        if not chunk:
            return bytes(body)
        body += chunk
        if time.monotonic() > deadline:
            raise requests.exceptions.Timeout
    return bytes(body[:MAX_BODY])
