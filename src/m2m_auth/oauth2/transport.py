"""What a transport is: a callable that sends one token request and gives the response."""

from __future__ import annotations

from collections.abc import Callable, Mapping

__all__ = ["HttpRequest", "HttpResponse", "MAX_BODY", "Transport", "TransportError", "describe"]

MAX_BODY = 1024 * 1024
"""A transport reads no more of a token response than this many bytes."""


class HttpRequest:
    """What a transport is to send: ``method``, ``url``, ``headers``, ``body``, ``timeout`` (seconds, for all of it)."""

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
    """What a transport got: ``status``, ``headers`` (names in lower case), :data:`MAX_BODY` of ``body`` at most."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    def __repr__(self) -> str:
        return f"<HttpResponse {self.status}, {len(self.body)} bytes>"


Transport = Callable[[HttpRequest], HttpResponse]
"""Sends one token request: verifies TLS, follows no redirect, keeps to ``request.timeout``, raises TransportError."""


class TransportError(Exception):
    """A transport got no response.

    Args:
        message: what happened, without anything of the request's headers or body.
        cause_code: ``timeout``, ``connection``, ``tls`` or another short word.
    """

    def __init__(self, message: str, cause_code: str = "connection") -> None:
        super().__init__(message)
        self.cause_code = cause_code


def describe(error: BaseException) -> str:
    """The innermost reason of an HTTP library's exception, by type and, where it is the system's, its words.

    The rest of such an exception may hold the request, and with it the secret.
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
