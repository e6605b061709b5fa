"""What an answer without a usable token means: which failure it is, and what the user can do about it.

The room ``oauth2`` reads the answer, and this file judges it. Every rule about status and error code is here. A refusal
is judged by its effect: whatever may mean that the secret has been replaced counts as refused credentials, because
then the secret is fetched again.
"""

from __future__ import annotations

from typing import NamedTuple

from ..oauth2.token_error_response import TokenErrorResponse
from ..oauth2.token_response import UnusableTokenResponse
from .failure import Failure, FailureKind

__all__ = ["SentRequest", "failure_of"]

_CONFIGURATION_ERRORS = {"invalid_request", "invalid_scope", "invalid_target", "unsupported_grant_type"}
_PASSING_ERRORS = {"server_error", "temporarily_unavailable"}
_CREDENTIAL_STATUSES = (400, 401, 403)
"""Statuses that mean refused credentials where the server sends no code."""
_CODES_OF_A_WRONG_URL = {"notfound", "methodnotallowed", "unsupportedmediatype"}
"""Frameworks repeat the status in words as their code."""
_CODES_OF_THROTTLING = {
    *("slowdown", "ratelimited", "ratelimitexceeded", "toomanyrequests", "throttled", "quotaexceeded"),
    *("throttlingexception", "toomanyrequestsexception"),
}
_DEFAULT_WAIT = 60.0
"""Seconds to wait after a 429 that does not say when to come back."""

_IS_IT_THE_URL = "Is token_endpoint the URL of a token endpoint?"
_CHECK_THE_CREDENTIALS = "Check client_id, client_secret and client_authentication"
_FIXES = {
    "invalid_client": _CHECK_THE_CREDENTIALS,
    "invalid_grant": "Check what the grant sends: it is unknown, revoked or has expired",
    "invalid_scope": "Ask only for scopes that this client is allowed",
    "unauthorized_client": "Check client_secret, and allow this client the grant {grant} at the server",
    "unsupported_grant_type": "Allow this client the grant {grant} at the server",
    "invalid_target": "Check audience and resource (RFC 8707)",
    "": "Check client_id and client_secret",
    "access_denied": "Check client_id and client_secret, the client's rights at the server, and audience",
}


class SentRequest(NamedTuple):
    """What the judgement and the advice depend on, of the token request that was sent."""

    token_endpoint: str = ""
    """The URL, without its query."""
    grant_type: str = "client_credentials"
    encoding: str = "form"
    """How the body was written: ``form`` or ``json``."""
    basic_encoding: str | None = None
    """``percent`` or ``raw`` if HTTP Basic carried an id or a secret for which the two differ."""
    credential_errors: tuple[str, ...] = ()
    """The user's own list of codes that mean refused credentials."""
    user_agent: str = ""
    """The ``User-Agent`` that the transport sends, or ``""``."""


_SENT = SentRequest()


def failure_of(answer: TokenErrorResponse | UnusableTokenResponse, sent: SentRequest = _SENT) -> Failure:
    """Return the failure that an answer of the token endpoint is.

    The first line that fits decides:

    - A 2xx whose token may not be used is a configuration error, and a mint. A 2xx without a token is an outage: a
      proxy or a login page may have answered.
    - A code that the user has named is refused credentials.
    - 429, and a 403 whose headers say that no request is left, is throttling; the wait is the server's, or 60 s.
    - 401 is refused credentials, whatever the code (Keycloak ``unauthorized_client``, ServiceNow ``server_error``).
    - 408, 5xx, ``server_error`` and ``temporarily_unavailable`` are an outage.
    - ``invalid_scope``, ``invalid_target``, ``unsupported_grant_type``, ``invalid_request``: a configuration error.
    - A redirect, and any other status than 400 and 403 without a code: a configuration error, because the URL is wrong.
    - Every other code is refused credentials, also in a 200; so are 400 and 403 without a code.

    A ``Retry-After`` is in ``retry_after`` with each of them.
    """
    if isinstance(answer, UnusableTokenResponse):
        return _unusable(answer)
    kind = _kind(answer, sent)
    cause = f"http_{answer.status}"
    if kind in (FailureKind.THROTTLED, FailureKind.UNAVAILABLE):
        after = answer.retry_after
        if kind is FailureKind.THROTTLED and after is None:
            after = _DEFAULT_WAIT
        facts = {"status": answer.status}
        return Failure(kind, "TokenEndpointUnavailable", _outage(answer, after, kind, sent), cause, after, facts=facts)
    return Failure(
        kind,
        "TokenRequestRejected",
        _said(answer, sent) + f" {_fix(answer, kind, sent)}.".replace("?.", "?"),
        answer.error or cause,
        answer.retry_after,
        facts={
            "status": answer.status,
            "error": answer.error,
            "error_description": answer.error_description,
            "error_uri": answer.error_uri,
        },
    )


def _kind(answer: TokenErrorResponse, sent: SentRequest) -> FailureKind:
    status, error = answer.status, answer.error
    code = (error or "").lower()
    if error is not None and error in sent.credential_errors:
        return FailureKind.CREDENTIALS
    if answer.throttled:
        return FailureKind.THROTTLED
    if status == 401:
        return FailureKind.CREDENTIALS
    if status == 408 or status >= 500 or code in _PASSING_ERRORS:
        return FailureKind.UNAVAILABLE
    if code in _CONFIGURATION_ERRORS or code.replace("_", "") in _CODES_OF_A_WRONG_URL or 300 <= status < 400:
        return FailureKind.CONFIGURATION
    if error is None and status >= 300 and status not in _CREDENTIAL_STATUSES:
        return FailureKind.CONFIGURATION
    return FailureKind.CREDENTIALS


def _unusable(answer: UnusableTokenResponse) -> Failure:
    kind = FailureKind.UNUSABLE if answer.minted else FailureKind.UNAVAILABLE
    message = f"The token endpoint answered {answer.status}, but {answer.why}. {answer.fix or _IS_IT_THE_URL}"
    return Failure(kind, "MalformedTokenResponse", message, "malformed_response")


# The message: what the server said, and the fix


def _outage(answer: TokenErrorResponse, after: float | None, kind: FailureKind, sent: SentRequest) -> str:
    message = f"The token endpoint answered {answer.status}" + (f" {answer.error}" if answer.error else "")
    if kind is FailureKind.THROTTLED:
        message += f": too many token requests; it asks to wait {after or 0.0:.0f} s"
    elif after is not None:
        message += f"; it asks to wait {after:.0f} s"
    if answer.error_description:
        message += f". It said: {answer.error_description.rstrip('.')}"
    return message + _ids(answer) + (f". {_gateway(answer, sent)}" if _is_page(answer) else "")


def _said(answer: TokenErrorResponse, sent: SentRequest) -> str:
    """What happened; the URL is named where the answer is not an authorization server's."""
    status = answer.status
    words = f": {answer.error_description.rstrip('.')}" if answer.error_description else ""
    if 300 <= status < 400:
        target = f" to {answer.location}" if answer.location else ""
        return f"The token endpoint answered {status}, a redirect{target}{_ids(answer)}."
    if answer.error is not None:
        return f"The token endpoint answered {status} {answer.error}{words}{_ids(answer)}."
    kind = answer.media_type or "missing or invalid Content-Type"
    url = f", {sent.token_endpoint}" if sent.token_endpoint else ""
    return f"The token endpoint answered {status} without an OAuth error ({kind}{url}){words}{_ids(answer)}."


def _ids(answer: TokenErrorResponse) -> str:
    """The ids that the server's support asks for, unless its words have them already (Entra's)."""
    said = answer.error_description or ""
    shown = ", ".join(f"{name} {value}" for name, value in answer.support_ids if value not in said)
    return f" ({shown})" if shown else ""


def _fix(answer: TokenErrorResponse, kind: FailureKind, sent: SentRequest) -> str:
    status, error = answer.status, answer.error
    if 300 <= status < 400:
        return "The client secret is sent to the configured URL only. Fix: set token_endpoint to the redirect's target"
    if _is_page(answer):
        return _gateway(answer, sent) + (_basic(sent) if kind is FailureKind.CREDENTIALS else "")
    if error is None and kind is FailureKind.CONFIGURATION and not _is_encoding(answer, sent):
        return _IS_IT_THE_URL
    if _is_encoding(answer, sent):
        return _encoding(sent)
    return _credentials(answer, kind, sent)


def _credentials(answer: TokenErrorResponse, kind: FailureKind, sent: SentRequest) -> str:
    error = answer.error or ""
    if error == "invalid_grant" and sent.grant_type == "refresh_token":
        return "The refresh token was used, revoked or has expired: get a new one"
    default = _CHECK_THE_CREDENTIALS if kind is FailureKind.CREDENTIALS else "Check the token request"
    if error.replace("_", "").lower() in _CODES_OF_THROTTLING:
        default = f"The server may have been asked too often. If not: {default[0].lower()}{default[1:]}"
    fix = _FIXES.get(error, default).format(grant=sent.grant_type)
    return fix + _basic(sent) if kind is FailureKind.CREDENTIALS else fix


def _basic(sent: SentRequest) -> str:
    """The encoding of HTTP Basic that was not tried, where the two differ."""
    if sent.basic_encoding is None:
        return ""
    other = "raw" if sent.basic_encoding == "percent" else "percent"
    decoded = "decode nothing" if other == "raw" else "decode them (RFC 6749 §2.3.1)"
    return (
        ". client_id or client_secret has special characters, and HTTP Basic sent them as "
        f'{sent.basic_encoding}: some servers {decoded}. Fix: client_authentication=ClientSecretBasic("{other}")'
    )


def _is_encoding(answer: TokenErrorResponse, sent: SentRequest) -> bool:
    """True if the server may not have been able to read the body."""
    if sent.encoding == "json":
        return answer.status == 415 or (answer.status == 400 and answer.error in (None, "invalid_request"))
    return answer.status == 415


def _encoding(sent: SentRequest) -> str:
    if sent.encoding == "json":
        return (
            "The request's body was JSON, which RFC 6749 does not know. "
            'Fix: leave encoding="json" out of grant=, unless this server wants it'
        )
    return 'The request\'s body was a form. Fix, if this server wants JSON: grant=ClientCredentials(encoding="json")'


def _is_page(answer: TokenErrorResponse) -> bool:
    return answer.media_type == "text/html" and answer.error is None and answer.status >= 400


def _gateway(answer: TokenErrorResponse, sent: SentRequest) -> str:
    """An HTML page comes from what stands before the server: a firewall, a proxy, a load balancer."""
    server = f" ({answer.server})" if answer.server else ""
    if answer.status == 404:
        return f"It is an HTML page, of a gateway{server} or a website. {_IS_IT_THE_URL}"
    message = f"It is an HTML page, so a gateway{server} has answered, not the authorization server"
    if answer.status >= 500 or answer.throttled:
        return message
    agent = f" with the User-Agent {sent.user_agent!r}" if sent.user_agent else ""
    return (
        f"{message}. Fix: let it pass requests from this address{agent}; if it is the server itself: check client_id "
        "and client_secret"
    )
