"""Which refresh token a mint sends, and where the one that comes back goes (RFC 6749 §6, RFC 9700 §4.14.2).

Only the holder of the lease sends a refresh token, and it shares the token that it receives in exchange before it does
anything else. Each exchange counts the generation up: the highest generation is the newest, wherever it is found.
"""

from __future__ import annotations

from collections.abc import Callable

from ..lifecycle.failure import Failure, FailureKind
from ..oauth2.secrets import Secret
from ..oauth2.token_response import TokenResponse
from ..shared_cache.entries import RotatedRefreshToken
from .renewal_context import Credential, RenewalContext

__all__ = ["exchange_newest"]

Exchange = Callable[[Secret], "TokenResponse | Failure"]


def exchange_newest(
    context: RenewalContext, credential: Credential, configured: Secret, exchange: Exchange
) -> TokenResponse | Failure:
    """The answer to the newest refresh token: the ``configured`` one, or one that an exchange has returned since."""
    newest = _newest(context, credential, configured)
    if newest is None:
        # An older refresh token may be one that the server has rotated: reuse may revoke the whole token family.
        what = "The shared cache that holds the newest refresh token cannot be read, and an older one must not be sent"
        return Failure(FailureKind.UNAVAILABLE, "TokenUnavailable", what, "cache_fault")
    answer = _exchanged(context, credential, newest, exchange)
    if isinstance(answer, Failure) and answer.kind is FailureKind.CREDENTIALS:
        # A process whose lease had lapsed may have rotated the token in the meantime.
        other = _newest(context, credential, configured)
        if other is not None and other.generation > newest.generation:
            return _exchanged(context, credential, other, exchange)
    return answer


def _newest(context: RenewalContext, credential: Credential, configured: Secret) -> RotatedRefreshToken | None:
    """None where the shared cache cannot say."""
    stored = credential.store.read_rotation(context.events)
    if credential.store.failing:
        return None
    rotated = [each for each in (stored, credential.state.rotation) if each is not None]
    return max([RotatedRefreshToken(0, configured), *rotated], key=lambda rotation: rotation.generation)


def _exchanged(
    context: RenewalContext, credential: Credential, sent: RotatedRefreshToken, exchange: Exchange
) -> TokenResponse | Failure:
    answer = exchange(sent.refresh_token)
    received = answer.refresh_token if isinstance(answer, TokenResponse) else None
    if received is not None and received != sent.refresh_token:
        rotation = RotatedRefreshToken(sent.generation + 1, received)
        credential.state.rotation = rotation
        credential.store.write_rotation(rotation, context.events)
    return answer
