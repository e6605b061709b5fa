"""Every error of m2m-auth. Each carries its facts as attributes, and none carries a secret.

What a front door raises for a call (all but :class:`ConfigurationError`) is also an instance of its HTTP library's
base error. So ``except requests.RequestException`` around a call still works: see :func:`also_a`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = [
    "CacheUnavailable",
    "ConfigurationError",
    "InsecureTransport",
    "M2MAuthError",
    "MalformedTokenResponse",
    "MintBudgetExhausted",
    "OriginNotAllowed",
    "TokenEndpointUnavailable",
    "TokenRequestRejected",
    "TokenUnavailable",
]


class M2MAuthError(Exception):
    """The base of every error that m2m-auth raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled and copied as the plain error: another process may not have the HTTP library, or the request."""
        plain = next(cls for cls in type(self).__mro__ if cls not in _combined.values())
        facts = {name: value for name, value in self.__dict__.items() if name not in _OF_THE_LIBRARY}
        return _rebuild, (plain, self.args, facts)


class ConfigurationError(M2MAuthError):
    """Yours to fix: raised before any I/O; the message says what is wrong, where, and the fix."""


class OriginNotAllowed(M2MAuthError):
    """The request goes to an origin outside ``allowed_origins``; nothing was sent.

    Attributes:
        origin: where the request was going, e.g. ``https://other.example``.
        allowed: the allowed origins, as strings.
    """

    def __init__(self, message: str, *, origin: str, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.origin = origin
        self.allowed = allowed


class InsecureTransport(M2MAuthError):
    """The request would carry the token over plain http to another machine; nothing was sent (RFC 6750 §5.3).

    Attributes:
        origin: where the request was going, e.g. ``http://api.example.com``.
    """

    def __init__(self, message: str, *, origin: str) -> None:
        super().__init__(message)
        self.origin = origin


class TokenUnavailable(M2MAuthError):
    """There is no usable token, so the API call was not sent.

    Attributes:
        retry_after: seconds until another attempt makes sense, or None if that is not known.
        cause_code: a short, stable word for logs and metrics, e.g. ``timeout``, ``http_503``, ``invalid_client``;
            ``unknown`` where a task queue has rebuilt the error from its message.
    """

    def __init__(self, message: str, *, cause_code: str = "unknown", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.cause_code = cause_code
        self.retry_after = retry_after


class TokenRequestRejected(TokenUnavailable):
    """The authorization server refused the token request (RFC 6749 §5.2): fix the client or its rights.

    Attributes:
        status: the HTTP status.
        error: the server's code, e.g. ``invalid_client``, or None if it sent none.
        error_description: the server's words, under whatever name it sent them, in RFC 6749's characters only and at
            most 500 of them, or None. The client secret is replaced in them.
        error_uri: the server's page about it, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        cause_code: str = "unknown",
        retry_after: float | None = None,
        status: int = 0,
        error: str | None = None,
        error_description: str | None = None,
        error_uri: str | None = None,
    ) -> None:
        super().__init__(message, cause_code=cause_code, retry_after=retry_after)
        self.status = status
        self.error = error
        self.error_description = error_description
        self.error_uri = error_uri


class TokenEndpointUnavailable(TokenUnavailable):
    """The token endpoint cannot be reached or does not work: timeout, connection, 5xx, 429.

    Attributes:
        status: the HTTP status, or None when no response came.
    """

    def __init__(
        self, message: str, *, cause_code: str = "unknown", retry_after: float | None = None, status: int | None = None
    ) -> None:
        super().__init__(message, cause_code=cause_code, retry_after=retry_after)
        self.status = status


class MalformedTokenResponse(TokenUnavailable):
    """The server answered 200 with something that is not a usable Bearer token. The body is never shown."""


class MintBudgetExhausted(TokenUnavailable):
    """The client's own :class:`~m2m_auth.MintBudget` is used up, and no token is held; the server was not asked."""


class CacheUnavailable(M2MAuthError):
    """An operation on a shared cache failed. The engine continues without the cache; calls do not fail."""


_combined: dict[tuple[type, type], type[M2MAuthError]] = {}
_OF_THE_LIBRARY = {"request", "response", "_request"}


def _rebuild(plain: type[M2MAuthError], args: tuple[Any, ...], facts: dict[str, Any]) -> M2MAuthError:
    error = plain.__new__(plain, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


def also_a(error: M2MAuthError, library_error: type[Exception], **attributes: Any) -> M2MAuthError:
    """The same error, now also an instance of an HTTP library's base error.

    ``attributes`` are what that library's handlers expect to find on it (``request``, ``response``).
    """
    plain = type(error)
    cls = _combined.get((plain, library_error))
    if cls is None:
        body = {"__doc__": plain.__doc__, "__module__": plain.__module__, "__str__": plain.__str__}
        cls = _combined[plain, library_error] = type(plain.__name__, (plain, library_error), body)
    combined = cls.__new__(cls, *error.args)
    combined.args = error.args
    combined.__dict__.update(error.__dict__)
    combined.__dict__.update(attributes)
    return combined


def nearest(name: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)``, or nothing: for messages about a name that is not known."""
    import difflib

    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def missing_extra(what: str, error: ImportError, extra: str) -> str:
    """The message for an optional library that is not installed."""
    return f"{what} needs the package {error.name!r}, which is not installed. Fix: pip install 'm2m-auth[{extra}]'"
