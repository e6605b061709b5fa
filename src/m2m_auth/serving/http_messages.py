"""A request, an answer, and the service between them."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ..values import Value

__all__ = ["MAX_BODY", "Answer", "ErrorAnswer", "Request", "Service", "answered", "retry_after_header"]

MAX_BODY = 64 * 1024
"""The largest request body that is read by default, in bytes. A token request has a few hundred."""

_log = logging.getLogger("m2m_auth.serving")


class Request(Value):
    """One HTTP request, as a service reads it. Its repr shows no headers, query or body: they may hold credentials."""

    method: str
    path: str
    """The decoded path below the place where the service is mounted."""
    query: str
    """The raw query string, without the question mark."""
    headers: Mapping[str, str]
    """Names in lower case. The values of a repeated header are joined by ``", "`` (RFC 9110 §5.2)."""
    body: bytes
    """Empty if the body is too large."""
    too_large: bool
    """True if the body is larger than the limit of the WSGI or ASGI application."""
    address: str
    """The peer's IP address. Behind a reverse proxy this is the proxy; see :func:`client_address`."""
    scheme: str
    native: Any = None
    """The server's or framework's own object: WSGI's environ, ASGI's scope, Flask's or Django's request."""

    def __repr__(self) -> str:
        return f"<Request {self.method}>"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request; the server adds ``Content-Length``. Its repr shows no body: it may be a token."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @classmethod
    def json(cls, status: int, document: Mapping[str, Any], *headers: tuple[str, str]) -> Answer:
        """A JSON document that no cache may store (RFC 6749 §5.1)."""
        fixed = (
            ("Content-Type", "application/json;charset=UTF-8"),
            ("Cache-Control", "no-store"),
            ("Pragma", "no-cache"),
            ("X-Content-Type-Options", "nosniff"),
        )
        return cls(status, (*fixed, *headers), json.dumps(document).encode())

    def __repr__(self) -> str:
        return f"<Answer {self.status}>"


class ErrorAnswer(Exception):
    """Raised by a service to end a request with an error response (RFC 6749 §5.2).

    Its words are fixed where it is raised, so the response repeats nothing of the request or of another server.

    Args:
        status: the HTTP status.
        error: the error code.
        description: the text for ``error_description``, in the characters that the RFC allows.
        headers: further response headers.
    """

    def __init__(self, status: int, error: str, description: str, *headers: tuple[str, str]) -> None:
        super().__init__(description)
        self.status, self.error, self.headers = status, error, headers

    @property
    def answer(self) -> Answer:
        """The response."""
        return Answer.json(self.status, {"error": self.error, "error_description": str(self)}, *self.headers)


def retry_after_header(seconds: float) -> tuple[str, str]:
    """``Retry-After`` in whole seconds, rounded up, at least 1."""
    return "Retry-After", str(max(1, math.ceil(seconds)))


class Service(Protocol):
    """An object that answers requests. Several threads call it at once."""

    def answer(self, request: Request, /) -> Answer:
        """The answer to this request. Blocks while a token is minted."""
        ...


def answered(service: Service, request: Request) -> Answer:
    """The service's answer, for adapters of a server or framework.

    An exception in the service is logged. The client gets a 500 without any detail.
    """
    try:
        answer = service.answer(request)
    except Exception:
        _log.exception("%s failed to answer a request", type(service).__name__)
        answer = Answer.json(500, {"error": "server_error", "error_description": "The request could not be answered."})
    return replace(answer, body=b"") if request.method == "HEAD" else answer
