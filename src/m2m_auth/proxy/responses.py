"""What the token endpoint answers: tokens (RFC 6749 §5.1), and the engine's errors in the words of §5.2."""

from __future__ import annotations

from ..errors import TokenRequestRejected, TokenUnavailable
from ..serving import Answer
from ..serving.http_messages import ErrorAnswer, retry_after_header
from .upstream_transport import BUDGET

__all__ = ["UNKNOWN_CLIENT", "credentials_refused", "error_answer_for", "token_answer", "try_later"]

UNKNOWN_CLIENT = "The client is unknown, or its secret is wrong"
"""One text for both, so that a client cannot find out which ids exist."""
_PASSED_ON = {
    "invalid_scope": "The authorization server refuses this scope",
    "invalid_target": "The authorization server refuses this audience or resource",
    "unauthorized_client": "The authorization server does not allow this client the grant",
    "invalid_request": "The authorization server refuses this request",
    "access_denied": "The authorization server denies this client access",
}


def token_answer(token: str, expires_in: int, scope: str | None, *headers: tuple[str, str]) -> Answer:
    """A token (RFC 6749 §5.1): ``expires_in`` in seconds from now; ``scope`` if it is known."""
    document: dict[str, str | int] = {"access_token": token, "token_type": "Bearer", "expires_in": expires_in}
    if scope is not None:
        document["scope"] = scope
    return Answer.json(200, document, *headers)


def try_later(status: int, description: str, seconds: float) -> ErrorAnswer:
    """A refusal that ends by itself: ``temporarily_unavailable``, with ``Retry-After``."""
    return ErrorAnswer(status, "temporarily_unavailable", description, retry_after_header(seconds))


def credentials_refused(error: TokenUnavailable) -> bool:
    """Whether the authorization server refused the client's credentials; some say so by the status alone.

    Keycloak's 401 says ``unauthorized_client``, and Auth0's ``access_denied``.
    """
    if not isinstance(error, TokenRequestRejected):
        return False
    refused = error.status == 401 or error.error == "invalid_client"
    return refused or (error.error is None and error.status in (400, 403))


def error_answer_for(error: TokenUnavailable, *, own_credentials: bool, budget_wait: float) -> ErrorAnswer:
    """The refusal for one vendor.

    Args:
        error: why there is no token.
        own_credentials: the vendor has its own credentials upstream; otherwise they are the proxy's.
        budget_wait: seconds until the vendor's budget allows another mint.
    """
    wait = error.retry_after if error.retry_after is not None else 1.0
    if error.cause_code == BUDGET:
        return try_later(429, "This client's budget of new tokens is used up", max(budget_wait, wait))
    if credentials_refused(error):
        if own_credentials:
            return ErrorAnswer(401, "invalid_client", UNKNOWN_CLIENT)
        return try_later(503, "The authorization server refuses the token proxy itself: its operator must act", wait)
    if isinstance(error, TokenRequestRejected) and error.error in _PASSED_ON:
        return ErrorAnswer(400, error.error, _PASSED_ON[error.error])
    if error.cause_code in ("http_429", "throttled"):
        return try_later(429, "The authorization server is asked too often", wait)
    return try_later(503, "There is no token: the authorization server cannot be reached, or gives none", wait)
