"""What ``@require_m2m`` does in every framework: who calls, what a view requires, and the answer of RFC 6750.

A framework only hands over the header and the query, and makes its own response of a :class:`BearerError`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ..oauth2.bearer import BearerError, MissingToken, bearer_token, names
from .verified_token import TokenVerifier, VerifiedToken

__all__ = ["Requirement", "caller_of"]


def caller_of(
    verifier: TokenVerifier, authorization: str | None, query: Collection[str] = ()
) -> VerifiedToken | BearerError:
    """Who calls: the verified token of a request, or why there is none.

    The error has no traceback: a traceback would hold the request, and in a frame the token.

    Args:
        verifier: verifies the token.
        authorization: the Authorization header, or None.
        query: the names of the request's query parameters; see :func:`bearer_token`.
    """
    try:
        return verifier.verify(bearer_token(authorization, query))
    except BearerError as error:
        return error.with_traceback(None)


class Requirement:
    """What a view requires of its caller.

    Args:
        scope: the scopes that the token must have, all of them; separated by spaces, or a list.
        audience: a value that must be among the token's ``aud``; None: the verifier's own check is enough.

    Raises:
        ConfigurationError: ``scope`` has something that no scope can be (RFC 6749 §3.3).
    """

    def __init__(self, scope: str | Iterable[str] | None = None, audience: str | None = None) -> None:
        self.scopes = names(scope)
        """The scopes, as a set."""
        self.audience = audience
        """The audience, or None."""

    def refusal(self, caller: VerifiedToken | BearerError) -> BearerError | None:
        """The error that refuses this caller (RFC 6750 §3.1); None: it may call.

        The answer to a caller without a token names the scopes that it needs.
        """
        if isinstance(caller, MissingToken):
            return MissingToken(scope=" ".join(sorted(self.scopes)))
        if isinstance(caller, BearerError):
            return caller
        try:
            caller.require(self.scopes, self.audience)
        except BearerError as error:
            return error.with_traceback(None)
        return None
