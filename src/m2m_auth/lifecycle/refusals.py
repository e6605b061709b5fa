"""What an answer without a usable token means: which failure it is, and what the user can do about it.

The room ``oauth2`` reads the answer, and this file judges it. Every rule about status and error code is here.
"""

from __future__ import annotations

from ..oauth2.token_response import TokenErrorResponse, UnusableTokenResponse
from .failure import Failure, FailureKind

__all__ = ["failure_of"]

_CREDENTIAL_ERRORS = {"invalid_client", "invalid_grant"}
_PASSING_ERRORS = {"server_error", "temporarily_unavailable"}
_CREDENTIAL_STATUSES = (400, 401, 403)
"""Statuses that mean refused credentials where the server sends no OAuth error."""
_DEFAULT_WAIT = 60.0
"""Seconds to wait after a 429 that does not say when to come back."""

_IS_IT_THE_URL = "Is token_endpoint the URL of a token endpoint?"
_FIXES = {
    "invalid_client": "Check client_id, client_secret and client_authentication",
    "invalid_grant": "The refresh token was used, revoked or has expired: get a new one",
    "invalid_scope": "Ask only for scopes that this client is allowed",
    "unauthorized_client": "Allow this client the client-credentials grant at the server",
    "unsupported_grant_type": "Allow this client the client-credentials grant at the server",
    "invalid_target": "Check audience and resource (RFC 8707)",
    "access_denied": "Check the client's rights at the server, and audience",
}


def failure_of(answer: TokenErrorResponse | UnusableTokenResponse) -> Failure:
    """Return the failure that an answer of the token endpoint is.

    - 429 is throttling; the wait is the server's, or 60 s.
    - 408, 5xx, ``server_error`` and ``temporarily_unavailable`` are an outage. The wait that a 503 asks for is kept
      for the caller's error.
    - ``invalid_client``, ``invalid_grant``, and 400, 401 or 403 without an OAuth error, are refused credentials.
    - Every other code or status is a configuration error.
    - A 200 without a usable token is an outage too: a proxy or a login page may have answered.
    """
    if isinstance(answer, UnusableTokenResponse):
        message = f"The token endpoint answered 200, but {answer.why}. {_IS_IT_THE_URL}"
        return Failure(FailureKind.UNAVAILABLE, "MalformedTokenResponse", message, "malformed_response")
    if answer.status in (408, 429) or answer.status >= 500 or answer.error in _PASSING_ERRORS:
        return _outage(answer)
    bare = answer.error is None and answer.status in _CREDENTIAL_STATUSES
    credentials = bare or answer.error in _CREDENTIAL_ERRORS
    return Failure(
        FailureKind.CREDENTIALS if credentials else FailureKind.CONFIGURATION,
        "TokenRequestRejected",
        _rejection_message(answer),
        answer.error or f"http_{answer.status}",
        facts={
            "status": answer.status,
            "error": answer.error,
            "error_description": answer.error_description,
            "error_uri": answer.error_uri,
        },
    )


def _outage(answer: TokenErrorResponse) -> Failure:
    status = answer.status
    kind, after = FailureKind.UNAVAILABLE, answer.retry_after if status == 503 else None
    message = f"The token endpoint answered {status}" + (f" {answer.error}" if answer.error else "")
    if status == 429:
        kind, after = FailureKind.THROTTLED, _DEFAULT_WAIT if answer.retry_after is None else answer.retry_after
        message += f": too many token requests; it asks to wait {after:.0f} s"
    return Failure(kind, "TokenEndpointUnavailable", message, f"http_{status}", after, facts={"status": status})


def _rejection_message(answer: TokenErrorResponse) -> str:
    status, error = answer.status, answer.error
    if error is not None:
        said = f": {answer.error_description.rstrip('.')}" if answer.error_description else ""
        return f"The token endpoint answered {status} {error}{said}. {_FIXES.get(error, 'Check the token request')}."
    if 300 <= status < 400:
        return (
            f"The token endpoint answered {status}, a redirect. The client secret is sent to the configured URL only. "
            "Fix: set token_endpoint to the redirect's target."
        )
    kind = answer.media_type or "missing or invalid Content-Type"
    fix = "Check client_id and client_secret." if status in _CREDENTIAL_STATUSES else _IS_IT_THE_URL
    return f"The token endpoint answered {status} without an OAuth error ({kind}). {fix}"
