"""RFC 6750 for the receiving side: the token of a request, and the errors with their challenges.

Every text in a challenge is fixed. It repeats nothing of the token or of the configuration.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable

from ..errors import ConfigurationError, M2MAuthError

__all__ = [
    "REALM",
    "BearerError",
    "InsufficientScope",
    "InvalidRequest",
    "InvalidToken",
    "MissingToken",
    "VerifierUnavailable",
    "bearer_token",
    "names",
]

REALM = "m2m"
"""The ``realm`` of a challenge without an error: RFC 6750 §3 requires at least one parameter."""


class BearerError(M2MAuthError):
    """The request is refused. The message is for your log; the client gets ``status``, ``headers`` and ``body``.

    Attributes:
        description: the text for the client, the same for every token.
        scope: the scopes that the resource needs, separated by spaces, or "".
        retry_after: seconds until another attempt makes sense, or None.
    """

    status = 401
    """The HTTP status of the answer."""
    error = ""
    """RFC 6750's error code; empty if the RFC defines none for it."""

    def __init__(self, description: str, *, scope: str = "", retry_after: float | None = None) -> None:
        super().__init__(description)
        self.description = description
        self.scope = scope
        self.retry_after = retry_after

    @property
    def challenge(self) -> str | None:
        """The value of ``WWW-Authenticate`` (RFC 6750 §3), or None if no other token would help."""
        parameters = {"error": self.error, "error_description": self.description} if self.error else {"realm": REALM}
        parameters["scope"] = self.scope
        return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parameters.items() if value)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer."""
        found = {"WWW-Authenticate": self.challenge, "Cache-Control": "no-store"}
        if self.retry_after is not None:
            found["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        return {name: value for name, value in found.items() if value is not None}

    @property
    def body(self) -> dict[str, str]:
        """The same facts for a JSON body, which is easier to read in a proxy's log than a header."""
        found = {"error": self.error, "error_description": self.description, "scope": self.scope}
        return {name: value for name, value in found.items() if value}


class MissingToken(BearerError):
    """401 with a bare challenge: the request has no bearer token (RFC 6750 §3.1)."""

    def __init__(self, description: str = "This needs a bearer token.", *, scope: str = "") -> None:
        super().__init__(description, scope=scope)


class InvalidToken(BearerError):
    """401 ``invalid_token``: expired, revoked, forged, or for another API. A client renews it and tries once more."""

    error = "invalid_token"


class InvalidRequest(BearerError):
    """400 ``invalid_request``: the Authorization header is malformed, or there are two tokens."""

    status = 400
    error = "invalid_request"


class InsufficientScope(BearerError):
    """403 ``insufficient_scope``: the token is good, but lacks a scope. A renewed token would not help."""

    status = 403
    error = "insufficient_scope"

    def __init__(self, description: str = "The token lacks a scope.", *, scope: str | Collection[str] = "") -> None:
        super().__init__(description, scope=scope if isinstance(scope, str) else " ".join(sorted(scope)))


class VerifierUnavailable(BearerError):
    """503: the token cannot be verified now. It may be good, so this is never a 401.

    Args:
        reason: what happened, for the log: a URL and a short word. The client does not see it.
        retry_after: seconds until the next attempt.
    """

    status = 503
    error = "temporarily_unavailable"

    def __init__(self, reason: str, *, retry_after: float) -> None:
        super().__init__("The token cannot be verified now.", retry_after=retry_after)
        self.args = (reason,)

    @property
    def challenge(self) -> None:
        """No challenge: another token would not help."""
        return


_B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]{1,16384}=*")


def bearer_token(authorization: str | None, query: Collection[str] = ()) -> str:
    """The token of an Authorization header (RFC 6750 §2.1).

    Args:
        authorization: the header's value, or None if there is none.
        query: the names of the request's query parameters. A token in the query is never read, because URLs are
            logged. Together with a token in the header it is an error.

    Raises:
        MissingToken: there is no header, or it is for another scheme.
        InvalidRequest: there are two tokens, or the header is malformed.
    """
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer":
        raise MissingToken
    token = token.strip()
    if not _B64TOKEN.fullmatch(token):
        raise InvalidRequest("The Authorization header is not of the form: Bearer, a space, one token.")
    if "access_token" in query:
        raise InvalidRequest("There are two tokens. Send one, in the Authorization header.")
    return token


def names(given: str | Iterable[str] | None) -> frozenset[str]:
    """Scopes as a set of names. Raises ConfigurationError if one cannot be a scope (RFC 6749 §3.3)."""
    found = frozenset((given or "").split() if given is None or isinstance(given, str) else given)
    for name in found:
        if not isinstance(name, str) or not re.fullmatch(r"[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]+", name):
            raise ConfigurationError(f"scope={name!r} is not a scope. Fix: 'read write', or ['read', 'write']")
    return found
