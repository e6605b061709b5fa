"""Reads the answer to a token request (RFC 6749 §5). The room ``lifecycle`` decides what the answer means.

:func:`parse_token_response` gives a :class:`TokenResponse`, an :class:`UnusableTokenResponse`, or a
:class:`~m2m_auth.oauth2.token_error_response.TokenErrorResponse`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from .answer_body import answer_fields, media_type
from .lifetimes import granted_lifetime, jwt_claims
from .rate_limit_headers import quota_is_low
from .secrets import Secret
from .token_error_response import TokenErrorResponse, read_refusal, says_refused
from .transport import HttpResponse

__all__ = ["TokenResponse", "UnusableTokenResponse", "parse_token_response"]


class TokenResponse(NamedTuple):
    """A successful response (RFC 6749 §5.1) with a Bearer token that can be used."""

    access_token: str
    token_type: str
    scope: str | None
    """The granted scopes, or None if the server did not say."""
    lifetime: float
    """Seconds, counted from the moment when the request was sent."""
    refresh_token: Secret | None = None
    """The refresh token that replaces the one that was sent."""
    quota_low: bool = False
    """True if the server said that little is left of its quota."""

    def __repr__(self) -> str:
        return f"<TokenResponse {self.token_type} lifetime={self.lifetime:g}>"


class UnusableTokenResponse(NamedTuple):
    """A response with status 200 and no OAuth error, whose token cannot be used or is missing."""

    why: str
    """What is wrong, as the end of a sentence; nothing of the body is in it."""
    minted: bool = False
    """True if the server gave a token that may not be used: it is spent all the same."""
    status: int = 200
    """The HTTP status."""
    fix: str = ""
    """What to do, as a sentence, or ``""``."""


def parse_token_response(
    response: HttpResponse,
    *,
    sent_at: float,
    default_lifetime: float,
    max_lifetime: float,
    keep_refresh_token: bool = False,
    redact: Callable[[str], str] = str,
) -> TokenResponse | TokenErrorResponse | UnusableTokenResponse:
    """Read the answer to a token request. Unknown fields are ignored, and nothing is raised.

    Args:
        response: the answer.
        sent_at: when the request was sent: Unix time in seconds.
        default_lifetime: the lifetime in seconds of a token whose server does not say.
        max_lifetime: longer lifetimes are cut to this many seconds.
        keep_refresh_token: False drops a refresh token: a client-credentials response has none (RFC 6749 §4.4.3).
        redact: replaces what must not be shown in the words of a refusal.
    """
    data = answer_fields(response) or {}
    if response.status == 200 and "access_token" in data:
        return _token(data, response, sent_at, default_lifetime, max_lifetime, keep_refresh_token)
    if response.status == 200 and not says_refused(data):
        shown = media_type(response) or "missing or invalid Content-Type"
        return UnusableTokenResponse(
            f"it is not a JSON object with an access_token ({len(response.body)} bytes, {shown})"
        )
    return read_refusal(response, sent_at, redact, data)


# Strings: re compiles them when they are first used, which keeps the import cheap.
_HEADER_SAFE = r"[\x21-\x7e]+"
_TYPE_NAME = r"[A-Za-z0-9_-]{1,20}"


def _token(
    data: dict[str, Any],
    response: HttpResponse,
    sent_at: float,
    default_lifetime: float,
    max_lifetime: float,
    keep_refresh_token: bool,
) -> TokenResponse | UnusableTokenResponse:
    value, token_type, scope = data["access_token"], data.get("token_type", "Bearer"), data.get("scope")
    if not isinstance(value, str) or not re.fullmatch(_HEADER_SAFE, value):
        return UnusableTokenResponse("its access_token is empty or has characters that no header may carry")
    if not isinstance(token_type, str) or token_type.lower() != "bearer":
        named = isinstance(token_type, str) and re.fullmatch(_TYPE_NAME, token_type)
        shown = repr(token_type) if named else "not a valid name"
        return UnusableTokenResponse(
            f"its token_type is {shown}, and only a Bearer token may be sent as one", minted=True
        )
    try:
        lifetime = granted_lifetime(data.get("expires_in"), jwt_claims(value), sent_at, default_lifetime)
    except ValueError as error:
        return UnusableTokenResponse(str(error))
    refresh = data.get("refresh_token") if keep_refresh_token else None
    return TokenResponse(
        value,
        "Bearer",
        scope if isinstance(scope, str) else None,
        min(lifetime, max_lifetime),
        Secret(refresh) if isinstance(refresh, str) and refresh else None,
        quota_is_low(response.headers),
    )
