"""Why a request is refused, as RFC 6750 §3.1 has a resource server say it, and in a way that a client can act on.

The pieces of a challenge are fixed words: nothing of the token that came, nor of the configuration, is in it.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from ..errors import M2MAuthError

__all__ = [
    "REALM",
    "BearerError",
    "InsufficientScope",
    "InvalidRequest",
    "InvalidToken",
    "MissingToken",
    "VerifierUnavailable",
]

REALM = "m2m"
"""The ``realm`` of a challenge without an error: RFC 6750 §3 wants at least one parameter."""


class BearerError(M2MAuthError):
    """The request is not let in. Its message is for your log; the caller gets ``status``, ``headers`` and ``body``.

    Attributes:
        description: what the caller is told, in words that are the same for every token.
        scope: the scopes that the resource needs, separated by spaces, or "".
        retry_after: seconds until another attempt makes sense, or None.
    """

    status = 401
    """The HTTP status of the answer."""
    error = ""
    """RFC 6750's error code; empty where the RFC wants none."""

    def __init__(self, description: str, *, scope: str = "", retry_after: float | None = None) -> None:
        super().__init__(description)
        self.description = description
        self.scope = scope
        self.retry_after = retry_after

    @property
    def challenge(self) -> str | None:
        """The value of ``WWW-Authenticate`` (RFC 6750 §3), or None where there is nothing to ask for."""
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
        """The same for a JSON body, which proxies and log readers find easier."""
        found = {"error": self.error, "error_description": self.description, "scope": self.scope}
        return {name: value for name, value in found.items() if value}


class MissingToken(BearerError):
    """401 with a bare challenge: the request has no bearer token (RFC 6750 §3.1)."""

    def __init__(self, description: str = "This needs a bearer token.", *, scope: str = "") -> None:
        super().__init__(description, scope=scope)


class InvalidToken(BearerError):
    """401 ``invalid_token``: expired, revoked, forged or another's. A client should renew it and try once more."""

    error = "invalid_token"


class InvalidRequest(BearerError):
    """400 ``invalid_request``: the Authorization header is malformed, or there are two tokens."""

    status = 400
    error = "invalid_request"


class InsufficientScope(BearerError):
    """403 ``insufficient_scope``: the token is good, but not for this. Another one of its kind would not help."""

    status = 403
    error = "insufficient_scope"

    def __init__(self, description: str = "The token lacks a scope.", *, scope: str | Collection[str] = "") -> None:
        super().__init__(description, scope=scope if isinstance(scope, str) else " ".join(sorted(scope)))


class VerifierUnavailable(BearerError):
    """503: nobody can say now whether the token is good. It may well be, so this is never a 401.

    Args:
        reason: what happened, for the log: a URL and a short word. The caller is not told.
        retry_after: seconds until it is tried again.
    """

    status = 503
    error = "temporarily_unavailable"

    def __init__(self, reason: str, *, retry_after: float) -> None:
        super().__init__("The token cannot be verified now.", retry_after=retry_after)
        self.args = (reason,)

    @property
    def challenge(self) -> None:
        """No challenge: the token is not what is wrong."""
        return
