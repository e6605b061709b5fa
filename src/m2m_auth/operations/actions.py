"""What an operator does to one source: renew and clear."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import CacheUnavailable
from ..lifecycle.failure import Failure
from ..presentation.wording import called
from ..runtime.worker_thread import on_worker_thread
from ..source.token_source import engine_of

if TYPE_CHECKING:
    from ..oauth2.tokens import AccessToken
    from ..source.token_source import TokenSource

__all__ = ["clear", "renew"]


def renew(source: TokenSource) -> AccessToken:
    """Has a new token minted now; single flight and the budget still apply. See :meth:`TokenSource.renew`.

    Raises:
        TokenUnavailable: the attempt failed, and why; a held token is kept.
    """
    engine_of(source).resolved_credential()  # so that the shared token is not taken for a new one
    return source.renew()


def clear(source: TokenSource) -> None:
    """Forgets the token, the last failure and the ban against forced mints, here and in the shared cache.

    The next call mints. Another process that holds the token serves it on until it looks into the cache.

    Raises:
        CacheUnavailable: the shared cache did not answer, so the token may still be there; here it is forgotten.
        TokenUnavailable: the secret, by which the token is found, could not be fetched; nothing is forgotten.
    """
    engine = engine_of(source)
    context, cache, credential = engine.context, engine.cache, engine.resolved_credential()
    if isinstance(credential, Failure):
        raise credential.error()
    state = credential.state
    flight = state.flight
    if flight is not None:
        flight.wait(context.policy.max_wait)  # or it would put back what is forgotten now

    def forget() -> bool:
        try:
            return credential.store.forget(context.events)
        finally:
            credential.store.release_thread()

    forgotten = on_worker_thread(forget)  # before the state, or a call in between would take the token from there again
    with state.lock:
        state.held = state.refused = state.pause = state.forced_mint_ban = None
        state.lease_failed_for = ""
    if not forgotten:
        raise CacheUnavailable(
            f"{called(cache)} did not answer: the token of {context.request.client_id!r} is forgotten in this process, "
            "and may still be in the cache. Fix: see what doctor says of the cache, then clear again"
        )
