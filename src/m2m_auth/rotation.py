"""Which refresh token to send, and what becomes of the one that comes back (RFC 6749 §6, RFC 9700 §4.14.2).

Only the holder of the lease gets here, so one process sends a refresh token, and what it is given in exchange is
shared before anything else happens. Each exchange counts the generation up: the highest one is the newest, wherever
it is found.
"""

from __future__ import annotations

from collections.abc import Callable

from .endpoint import TokenGrant
from .failure import Failure, Kind
from .kit import Identity, Kit
from .shared import Rotation
from .token import Secret

__all__ = ["refreshed"]

Exchange = Callable[[Secret], "TokenGrant | Failure"]


def refreshed(kit: Kit, identity: Identity, first: Secret, exchange: Exchange) -> TokenGrant | Failure:
    """The answer to sending the newest refresh token; ``first`` is the configured one."""
    newest = _newest(kit, identity, first)
    if newest is None:
        what = "The shared cache that holds the newest refresh token cannot be read, and an older one must not be sent"
        return Failure(Kind.UNAVAILABLE, "TokenUnavailable", what, "cache_fault")
    answer = _exchanged(kit, identity, newest, exchange)
    if isinstance(answer, Failure) and answer.cause_code == "invalid_grant":
        # Somebody whose lease had lapsed may have rotated it in the meantime.
        other = _newest(kit, identity, first)
        if other is not None and other.generation > newest.generation:
            return _exchanged(kit, identity, other, exchange)
    return answer


def _newest(kit: Kit, identity: Identity, first: Secret) -> Rotation | None:
    shared = identity.shared.read_rotation(kit.report)
    if identity.shared.failing:
        return None
    known = [Rotation(0, first), *(found for found in (shared, identity.slot.rotation) if found is not None)]
    return max(known, key=lambda rotation: rotation.generation)


def _exchanged(kit: Kit, identity: Identity, sent: Rotation, exchange: Exchange) -> TokenGrant | Failure:
    answer = exchange(sent.refresh_token)
    given = answer.refresh_token if isinstance(answer, TokenGrant) else None
    if given is not None and given != sent.refresh_token:
        rotation = Rotation(sent.generation + 1, given)
        identity.slot.rotation = rotation
        identity.shared.write_rotation(rotation, kit.report)
    return answer
