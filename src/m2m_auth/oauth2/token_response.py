"""The token request and its response (RFC 6749 §4.4, §5), without I/O.

:func:`build` turns parameters into an :class:`HttpRequest`; a transport answers with an
:class:`HttpResponse`; :func:`parse` makes a :class:`TokenGrant` of it, or a failure.
Nothing of a response body is ever shown, except an OAuth error's own fields in RFC 6749's characters.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple, cast

from ..lifecycle.failure import Failure, Kind
from .lifetimes import granted_lifetime, jwt_claims
from .secrets import Secret
from .transport import HttpResponse

__all__ = ["TokenGrant", "parse"]


class TokenGrant(NamedTuple):
    """A usable answer of the token endpoint. ``lifetime`` is in seconds, counted from sending the request."""

    access_token: str
    token_type: str
    scope: str | None
    lifetime: float
    refresh_token: Secret | None = None
    """What replaces the refresh token that was sent."""
    quota_low: bool = False
    """The server said that little is left of its quota: renew late."""

    def __repr__(self) -> str:
        return f"<TokenGrant {self.token_type} lifetime={self.lifetime:g}>"


def parse(
    response: HttpResponse,
    *,
    sent_at: float,
    default_lifetime: float,
    max_lifetime: float,
    keep_refresh_token: bool = False,
) -> TokenGrant | Failure:
    """The answer's token, or what went wrong. ``sent_at`` is Unix time in seconds; unknown fields are ignored."""
    content_type = response.headers.get("content-type", "").split(";")[0].strip().lower()
    data = _json_object(response.body)
    error = data.get("error") if data else None
    if response.status == 200 and data is not None and "access_token" in data:
        grant = _grant(data, sent_at, default_lifetime, max_lifetime)
        if isinstance(grant, Failure):
            return grant
        from .rate_limit_headers import quota_is_low

        grant = grant._replace(quota_low=quota_is_low(response.headers))
        return grant if keep_refresh_token else grant._replace(refresh_token=None)
    if response.status == 200 and not (isinstance(error, str) and error):
        shown = content_type if re.fullmatch(_MEDIA_TYPE, content_type) else "no or an odd content type"
        return _malformed(f"it is not a JSON object with an access_token ({len(response.body)} bytes, {shown})")
    return _refusal(response, data or {}, content_type, sent_at)


# Compiled when first needed, by re: an import should not pay for it.
_MEDIA_TYPE = r"[a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,40}"
_SHOWN = r"[^\x20-\x21\x23-\x5b\x5d-\x7e]"
_HEADER_SAFE = re.compile(r"[\x21-\x7e]+")
_TYPE_NAME = re.compile(r"[A-Za-z0-9_-]{1,20}")


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", data) if isinstance(data, dict) else None


def _malformed(why: str) -> Failure:
    message = f"The token endpoint answered 200, but {why}. Is token_endpoint the URL of a token endpoint?"
    return Failure(Kind.UNAVAILABLE, "MalformedTokenResponse", message, "malformed_response")


def _grant(data: dict[str, Any], sent_at: float, default_lifetime: float, max_lifetime: float) -> TokenGrant | Failure:
    value, token_type, scope = data["access_token"], data.get("token_type", "Bearer"), data.get("scope")
    if not isinstance(value, str) or not _HEADER_SAFE.fullmatch(value):
        return _malformed("its access_token is empty or has characters that no header may carry")
    if not isinstance(token_type, str) or token_type.lower() != "bearer":
        shown = repr(token_type) if isinstance(token_type, str) and _TYPE_NAME.fullmatch(token_type) else "an odd one"
        return _malformed(f"its token_type is {shown}, and only a Bearer token may be sent as one")
    try:
        lifetime = granted_lifetime(data.get("expires_in"), jwt_claims(value), sent_at, default_lifetime)
    except ValueError as error:
        return _malformed(str(error))
    refresh = data.get("refresh_token")
    return TokenGrant(
        value,
        "Bearer",
        scope if isinstance(scope, str) else None,
        min(lifetime, max_lifetime),
        Secret(refresh) if isinstance(refresh, str) and refresh else None,
    )


_CREDENTIAL_ERRORS = {"invalid_client", "invalid_grant"}
_PASSING_ERRORS = {"server_error", "temporarily_unavailable"}


def _refusal(response: HttpResponse, data: dict[str, Any], content_type: str, now: float) -> Failure:
    status = response.status
    error = _shown(data.get("error"), 60)
    description, uri = _shown(data.get("error_description"), 200), _shown(data.get("error_uri"), 200)
    if status == 429 or status == 408 or status >= 500 or error in _PASSING_ERRORS:
        from .rate_limit_headers import retry_after

        after = retry_after(response.headers, now) if status in (429, 503) else None
        kind = Kind.THROTTLED if status == 429 else Kind.UNAVAILABLE
        what = f"The token endpoint answered {status}" + (f" {error}" if error else "")
        if kind is Kind.THROTTLED:
            after = 60.0 if after is None else after
            what += f": too many token requests; it asks to wait {after:.0f} s"
        return Failure(kind, "TokenEndpointUnavailable", what, f"http_{status}", after, facts={"status": status})
    bare = error is None and status in (400, 401, 403)
    kind = Kind.CREDENTIALS if bare or error in _CREDENTIAL_ERRORS else Kind.CONFIGURATION
    facts = {"status": status, "error": error, "error_description": description, "error_uri": uri}
    return Failure(
        kind,
        "TokenRequestRejected",
        _refusal_message(status, error, description, content_type),
        error or f"http_{status}",
        facts=facts,
    )


_FIXES = {
    "invalid_client": "Check client_id, client_secret and client_authentication",
    "invalid_grant": "The refresh token was used, revoked or has ended: get a new one",
    "invalid_scope": "Ask only for scopes that this client is allowed",
    "unauthorized_client": "Allow this client the client-credentials grant at the server",
    "unsupported_grant_type": "Allow this client the client-credentials grant at the server",
    "invalid_target": "Check audience and resource (RFC 8707)",
    "access_denied": "Check the client's rights at the server, and audience",
}


def _refusal_message(status: int, error: str | None, description: str | None, content_type: str) -> str:
    if error is not None:
        said = f": {description}" if description else ""
        return f"The token endpoint answered {status} {error}{said}. {_FIXES.get(error, 'Check the token request')}."
    if 300 <= status < 400:
        return (
            f"The token endpoint answered {status}, a redirect; a secret is never sent on. "
            "Fix: set token_endpoint to its target."
        )
    kind = content_type if re.fullmatch(_MEDIA_TYPE, content_type) else "no content type"
    fix = (
        "Check client_id and client_secret"
        if status in (400, 401, 403)
        else "Is token_endpoint the URL of a token endpoint?"
    )
    return f"The token endpoint answered {status} without an OAuth error ({kind}). {fix}."


def _shown(value: object, limit: int) -> str | None:
    """The server's words in RFC 6749 §5.2's characters, cut to ``limit``."""
    return re.sub(_SHOWN, "?", value)[:limit] if isinstance(value, str) and value else None
