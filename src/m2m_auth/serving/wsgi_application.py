"""A service as a WSGI application (PEP 3333)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from http.client import responses
from typing import Any

from .http_messages import MAX_BODY, Request, Service, answered

__all__ = ["wsgi"]

_Environ = dict[str, Any]
_WsgiApp = Callable[[_Environ, Callable[..., Any]], Iterable[bytes]]


def wsgi(service: Service, *, max_body: int = MAX_BODY) -> _WsgiApp:
    """A WSGI application of this service, for gunicorn, waitress, uWSGI or a mount in another application.

    Args:
        service: the service.
        max_body: the largest request body that is read, in bytes.
    """

    def application(environ: _Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer = answered(service, _request(environ, max_body))
        headers = list(answer.headers)
        if answer.status != 204:
            headers.append(("Content-Length", str(len(answer.body))))
        start_response(f"{answer.status} {responses.get(answer.status, 'Unknown')}", headers)
        return [answer.body]

    return application


@lru_cache(1024)
def _name(key: str) -> str:
    """The header's name for a key of the environ."""
    return key[5:].replace("_", "-").lower()


def _request(environ: _Environ, max_body: int) -> Request:
    headers = {_name(key): str(environ[key]) for key in environ if key[:5] == "HTTP_"}
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = environ[name]
    body = _read(environ, max_body)
    return Request(
        method=environ["REQUEST_METHOD"],
        path=environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace"),
        query=environ.get("QUERY_STRING", ""),
        headers=headers,
        body=body or b"",
        too_large=body is None,
        address=environ.get("REMOTE_ADDR", ""),
        scheme=environ.get("wsgi.url_scheme", "http"),
        native=environ,
    )


def _read(environ: _Environ, max_body: int) -> bytes | None:
    """The body, or None if it is too large; the rest of such a body is not read."""
    length = environ.get("CONTENT_LENGTH") or ""
    if length.isascii() and length.isdigit():
        # The same number is compared and read. Cutting the digits with their leading zeros would make it smaller.
        size = int(length.lstrip("0")[:20] or "0")
        return None if size > max_body else environ["wsgi.input"].read(size)
    if not environ.get("wsgi.input_terminated"):
        return b""  # no length and no end that the server marks: PEP 3333 has no body then
    body = bytearray()
    while len(body) <= max_body:
        piece = environ["wsgi.input"].read(max_body + 1 - len(body))
        if not piece:
            return bytes(body)
        body += piece
    return None
