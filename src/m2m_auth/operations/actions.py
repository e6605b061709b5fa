"""What an operator does to one source: renew and clear."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import CacheUnavailable
from ..lifecycle.failure import Failure
from ..presentation.wording import cache_name
from ..runtime.worker_thread import on_worker_thread
from ..source.token_source import engine_of

if TYPE_CHECKING:
    from .. import AccessToken, TokenSource

__all__ = ["clear", "renew"]


def renew(source: TokenSource) -> AccessToken:
    """Mint a new token now. Single flight and the budget still apply. See :meth:`TokenSource.renew`.

    Raises:
        TokenUnavailable: the attempt failed; the error says why. A held token is kept.
    """
    engine_of(source).resolved_credential()  # fetches the secret, which finds the shared token that this one replaces
    return source.renew()


def clear(source: TokenSource) -> None:
    """Forget the token, the last failure, the wait and the forced-mint ban, in this process and in the shared cache.

    The next call mints. Another process that holds the token uses it until it reads the cache again.

    Raises:
        CacheUnavailable: the shared cache did not answer. This process has forgotten the token; the cache may keep it.
        TokenUnavailable: the client's secret could not be fetched, so its token could not be found. Nothing is cleared.
    """
    engine = engine_of(source)
    context, cache, credential = engine.context, engine.cache, engine.resolved_credential()
    if isinstance(credential, Failure):
        raise credential.error()
    state = credential.state
    for flight in (state.flight, state.beside):
        if flight is not None:
            flight.wait(context.policy.max_wait)  # one that lands later would store its token or its ban again

    def forget() -> bool:
        try:
            return credential.store.forget(context.events)
        finally:
            credential.store.release_thread()

    # The cache first: a call between the two steps would otherwise take the token from the cache again.
    forgotten = on_worker_thread(forget)
    with state.lock:
        state.held = state.refused = state.pause = state.forced_mint_ban = None
        state.on_trial, state.lease_failed_for = False, ""
        credential.wait.pause = None
    if not forgotten:
        raise CacheUnavailable(
            f"{cache_name(cache)} did not answer: this process has forgotten the token of "
            f"{context.request.client_id!r}, but the cache may still have it. Fix: run doctor, repair the cache, then "
            "clear again"
        )
