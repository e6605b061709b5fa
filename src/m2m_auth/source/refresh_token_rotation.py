"""Which refresh token to send, and what becomes of the one that comes back (RFC 6749 §6, RFC 9700 §4.14.2).

Only the holder of the lease gets here, so one process sends a refresh token, and what it is given in exchange is
shared before anything else happens. Each exchange counts the generation up: the highest one is the newest, wherever
it is found.
"""

from __future__ import annotations

from collections.abc import Callable

from ..lifecycle.failure import Failure, FailureKind
from ..oauth2.secrets import Secret
from ..oauth2.token_response import TokenResponse
from ..shared_cache.entries import RotatedRefreshToken
from .renewal_context import Credential, RenewalContext

__all__ = ["refreshed"]

Exchange = Callable[[Secret], "TokenResponse | Failure"]


def refreshed(
    context: RenewalContext, credential: Credential, first: Secret, exchange: Exchange
) -> TokenResponse | Failure:
    """The answer to sending the newest refresh token; ``first`` is the configured one."""
    newest = _newest(context, credential, first)
    if newest is None:
        what = "The shared cache that holds the newest refresh token cannot be read, and an older one must not be sent"
        return Failure(FailureKind.UNAVAILABLE, "TokenUnavailable", what, "cache_fault")
    answer = _exchanged(context, credential, newest, exchange)
    if isinstance(answer, Failure) and answer.cause_code == "invalid_grant":
        # Somebody whose lease had lapsed may have rotated it in the meantime.
        other = _newest(context, credential, first)
        if other is not None and other.generation > newest.generation:
            return _exchanged(context, credential, other, exchange)
    return answer


def _newest(context: RenewalContext, credential: Credential, first: Secret) -> RotatedRefreshToken | None:
    shared = credential.shared.read_rotation(context.events)
    if credential.shared.failing:
        return None
    known = [
        RotatedRefreshToken(0, first),
        *(found for found in (shared, credential.state.rotation) if found is not None),
    ]
    return max(known, key=lambda rotation: rotation.generation)


def _exchanged(
    context: RenewalContext, credential: Credential, sent: RotatedRefreshToken, exchange: Exchange
) -> TokenResponse | Failure:
    answer = exchange(sent.refresh_token)
    given = answer.refresh_token if isinstance(answer, TokenResponse) else None
    if given is not None and given != sent.refresh_token:
        rotation = RotatedRefreshToken(sent.generation + 1, given)
        credential.state.rotation = rotation
        credential.shared.write_rotation(rotation, context.events)
    return answer
