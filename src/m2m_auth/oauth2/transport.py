"""The transport: a callable that sends one token request and returns the response."""

from __future__ import annotations

from collections.abc import Callable, Mapping

__all__ = ["HttpRequest", "HttpResponse", "MAX_BODY", "Transport", "TransportError", "describe", "user_agent_of"]

MAX_BODY = 1024 * 1024
"""A transport reads no more of a token response than this many bytes."""


class HttpRequest:
    """A request for a transport to send. Its repr hides headers and body.

    Args:
        method: the HTTP method.
        url: the token endpoint's URL.
        headers: the headers.
        body: the body.
        timeout: seconds for the whole exchange, from connecting to the last byte of the response.
    """

    __slots__ = ("body", "headers", "method", "timeout", "url")

    def __init__(self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout: float) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeout = timeout

    def __repr__(self) -> str:
        return f"<HttpRequest {self.method} {self.url}>"


class HttpResponse:
    """The response that a transport got. Its repr shows the status and the size only.

    Args:
        status: the HTTP status.
        headers: the headers, their names in upper or lower case; the attribute has them in lower case.
        body: the body, :data:`MAX_BODY` bytes of it at most.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    def __repr__(self) -> str:
        return f"<HttpResponse {self.status}, {len(self.body)} bytes>"


Transport = Callable[[HttpRequest], HttpResponse]
"""Sends one request: verifies TLS, follows no redirect, keeps to ``request.timeout``, raises TransportError."""


def user_agent_of(transport: Transport) -> str:
    """The ``User-Agent`` that a transport sends, e.g. ``m2m-auth/1.0 requests/2.32``, for messages.

    It is the transport's attribute ``user_agent``; empty for a callable of the user's, which may send any.
    """
    said = getattr(transport, "user_agent", "")
    return said if isinstance(said, str) else ""


class TransportError(Exception):
    """A transport got no response.

    Args:
        message: what happened. It must hold nothing of the request's headers or body, because it is shown.
        cause_code: ``timeout``, ``connection`` (refused, reset, or no such host), ``tls``, ``proxy`` (it refuses to
            forward), or another short word.
    """

    def __init__(self, message: str, cause_code: str = "connection") -> None:
        super().__init__(message)
        self.cause_code = cause_code


def describe(error: BaseException) -> str:
    """Return the innermost reason of an HTTP library's exception: its type, and the words of an operating system error.

    Other parts of such an exception may hold the request, and the secret in it.
    """
    seen: BaseException = error
    for _ in range(8):
        inner = seen.__cause__ or seen.__context__ or getattr(seen, "reason", None)
        if inner is None and seen.args and isinstance(seen.args[0], BaseException):
            inner = seen.args[0]
        if not isinstance(inner, BaseException):
            break
        seen = inner
    words = seen.strerror if isinstance(seen, OSError) and seen.strerror else ""
    return f"{type(seen).__name__}{': ' if words else ''}{words}"
