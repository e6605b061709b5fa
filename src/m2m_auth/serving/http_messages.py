"""A request, an answer, and the service between them."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

__all__ = ["MAX_BODY", "Answer", "Request", "Service", "answered"]

MAX_BODY = 64 * 1024
"""Bytes of a request's body that are read at most, unless told otherwise: a token request has a few hundred."""

_log = logging.getLogger("m2m_auth.serving")


class Request(NamedTuple):
    """One HTTP request, as a service reads it."""

    method: str
    path: str
    """Below the place where the service is mounted; decoded."""
    query: str
    """The raw query string, without the question mark."""
    headers: Mapping[str, str]
    """Names in lower case; the values of a repeated header are joined by ``", "`` (RFC 9110 §5.2)."""
    body: bytes
    """Empty where it was too large."""
    too_large: bool
    """True where the body was larger than the server was told to read."""
    address: str
    """The peer's IP address: behind a proxy, the proxy's. See :func:`client_address`."""
    scheme: str
    native: Any = None
    """What the server or framework handed over: WSGI's environ, ASGI's scope, Flask's or Django's request."""

    def __repr__(self) -> str:
        return f"<Request {self.method}>"  # headers, query and body may hold credentials


class Answer(NamedTuple):
    """The answer to one request. ``Content-Length`` is the server's affair."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @classmethod
    def json(cls, status: int, document: Mapping[str, Any], *headers: tuple[str, str]) -> Answer:
        """A JSON document that nobody stores (RFC 6749 §5.1)."""
        fixed = (
            ("Content-Type", "application/json;charset=UTF-8"),
            ("Cache-Control", "no-store"),
            ("Pragma", "no-cache"),
            ("X-Content-Type-Options", "nosniff"),
        )
        return cls(status, (*fixed, *headers), json.dumps(document).encode())

    def __repr__(self) -> str:
        return f"<Answer {self.status}>"  # the body may be a token


class Service(Protocol):
    """Whatever answers requests. Called from any number of threads at once."""

    def answer(self, request: Request, /) -> Answer:
        """The answer to this request. Blocks while a token is minted."""
        ...


def answered(service: Service, request: Request) -> Answer:
    """The service's answer; a fault in it is logged and told as 500 without any detail. For adapters."""
    try:
        answer = service.answer(request)
    except Exception:
        _log.exception("%s failed to answer a request", type(service).__name__)
        answer = Answer.json(500, {"error": "server_error", "error_description": "The request could not be answered."})
    return answer._replace(body=b"") if request.method == "HEAD" else answer
