"""Reads the answer to a token request (RFC 6749 §5). The room ``lifecycle`` decides what the answer means.

:func:`parse_token_response` gives a :class:`TokenResponse`, a :class:`TokenErrorResponse` or an
:class:`UnusableTokenResponse`. Of a response body they show an OAuth error's own fields only, in RFC 6749's characters.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple, cast

from .lifetimes import granted_lifetime, jwt_claims
from .rate_limit_headers import quota_is_low, retry_after
from .secrets import Secret
from .transport import HttpResponse

__all__ = ["TokenErrorResponse", "TokenResponse", "UnusableTokenResponse", "parse_token_response"]


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


class TokenErrorResponse(NamedTuple):
    """A response without a token: an OAuth error (RFC 6749 §5.2), or another status than 200."""

    status: int
    """The HTTP status."""
    error: str | None = None
    """The server's code, e.g. ``invalid_client``, 60 characters at most; None if it sent none."""
    error_description: str | None = None
    """The server's words, 200 characters at most, or None."""
    error_uri: str | None = None
    """The server's page about the error, 200 characters at most, or None."""
    media_type: str | None = None
    """The media type of the body, e.g. ``text/html``; None if it is missing or not one."""
    retry_after: float | None = None
    """Seconds that the server asks to wait, 3600 at most, or None."""


class UnusableTokenResponse(NamedTuple):
    """A response with status 200 and no OAuth error, whose token cannot be used or is missing."""

    why: str
    """What is wrong, as the end of a sentence; nothing of the body is in it."""


def parse_token_response(
    response: HttpResponse,
    *,
    sent_at: float,
    default_lifetime: float,
    max_lifetime: float,
    keep_refresh_token: bool = False,
) -> TokenResponse | TokenErrorResponse | UnusableTokenResponse:
    """Read the answer to a token request. Unknown fields are ignored, and nothing is raised.

    Args:
        response: the answer.
        sent_at: when the request was sent: Unix time in seconds.
        default_lifetime: the lifetime in seconds of a token whose server does not say.
        max_lifetime: longer lifetimes are cut to this many seconds.
        keep_refresh_token: False drops a refresh token: a client-credentials response has none (RFC 6749 §4.4.3).
    """
    data = _json_object(response.body)
    if response.status == 200 and data is not None and "access_token" in data:
        return _token(data, response, sent_at, default_lifetime, max_lifetime, keep_refresh_token)
    error = data.get("error") if data else None
    media_type = _media_type(response)
    if response.status == 200 and not (isinstance(error, str) and error):
        shown = media_type or "missing or invalid Content-Type"
        return UnusableTokenResponse(
            f"it is not a JSON object with an access_token ({len(response.body)} bytes, {shown})"
        )
    fields = data or {}
    return TokenErrorResponse(
        response.status,
        _shown(error, 60),
        _shown(fields.get("error_description"), 200),
        _shown(fields.get("error_uri"), 200),
        media_type,
        retry_after(response.headers, sent_at),
    )


# Strings: re compiles them when they are first used, which keeps the import cheap.
_MEDIA_TYPE = r"[a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,40}"
_NOT_SHOWN = r"[^\x20-\x21\x23-\x5b\x5d-\x7e]"
_HEADER_SAFE = r"[\x21-\x7e]+"
_TYPE_NAME = r"[A-Za-z0-9_-]{1,20}"


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", data) if isinstance(data, dict) else None


def _media_type(response: HttpResponse) -> str | None:
    """The media type of the Content-Type (RFC 9110 §8.3.1), in lower case; None for anything that is not one."""
    media_type = response.headers.get("content-type", "").split(";")[0].strip().lower()
    return media_type if re.fullmatch(_MEDIA_TYPE, media_type) else None


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
        return UnusableTokenResponse(f"its token_type is {shown}, and only a Bearer token may be sent as one")
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


def _shown(value: object, limit: int) -> str | None:
    """The server's words in RFC 6749 §5.2's characters, cut to ``limit``."""
    return re.sub(_NOT_SHOWN, "?", value)[:limit] if isinstance(value, str) and value else None
