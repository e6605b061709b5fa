"""What a client is told when there is no token: the engine's errors in the words of RFC 6749 §5.2."""

from __future__ import annotations

from ..errors import TokenRequestRejected, TokenUnavailable
from .responses import Refused
from .upstream_transport import BUDGET

__all__ = ["UNKNOWN", "credentials_refused", "told"]

UNKNOWN = "The client is unknown, or its secret is wrong"
_PASSED_ON = {
    "invalid_scope": "The authorization server refuses this scope",
    "invalid_target": "The authorization server refuses this audience or resource",
    "unauthorized_client": "The authorization server does not allow this client the grant",
    "invalid_request": "The authorization server refuses this request",
    "access_denied": "The authorization server denies this client access",
}


def credentials_refused(error: TokenUnavailable) -> bool:
    """Whether the authorization server refused the client's credentials; some say so without a word (401, 403)."""
    if not isinstance(error, TokenRequestRejected):
        return False
    return error.error == "invalid_client" or (error.error is None and error.status in (400, 401, 403))


def told(error: TokenUnavailable, *, own_credentials: bool, budget_wait: float) -> Refused:
    """The refusal for one client.

    Args:
        error: why there is no token.
        own_credentials: the client has credentials upstream; else they are the proxy's.
        budget_wait: seconds until there is a mint in the vendor's budget again.
    """
    after = error.retry_after if error.retry_after is not None else 1.0
    if error.cause_code == BUDGET:
        words = "This client's budget of new tokens is used up"
        return Refused(429, "temporarily_unavailable", words, retry_after=max(budget_wait, after))
    if credentials_refused(error):
        if own_credentials:
            return Refused(401, "invalid_client", UNKNOWN)
        return _later("The authorization server refuses the token proxy itself: its operator must look", after)
    if isinstance(error, TokenRequestRejected) and error.error in _PASSED_ON:
        return Refused(400, error.error, _PASSED_ON[error.error])
    if error.cause_code == "http_429":
        words = "The authorization server is asked too often"
        return Refused(429, "temporarily_unavailable", words, retry_after=after)
    return _later("There is no token: the authorization server cannot be reached, or gives none", after)


def _later(words: str, after: float) -> Refused:
    return Refused(503, "temporarily_unavailable", words, retry_after=after)
