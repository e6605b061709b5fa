"""What follows when a resource server refuses a token (RFC 6750 §3.1), or takes the one that replaced a refused one.

A token that is refused for the first time is replaced by a forced mint. If the API refuses the new token too, forced
mints are banned for a while. All processes that share the cache know the ban, and so does the next process: a token's
shared entry says that it replaced a refused one. No call waits for the cache here: threads of their own write and read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..errors import TokenUnavailable
from ..lifecycle.forced_mint_ban import (
    TOO_OFTEN,
    ForcedMintBan,
    Refusal,
    is_no_help,
    is_too_often,
    next_ban,
    refusal_of,
    same_api,
)
from ..oauth2.origins import Origin
from ..oauth2.tokens import AccessToken
from ..shared_cache.entries import KEPT_REJECTED
from .adoption import Adoption
from .flight import Flight
from .renewal_context import REJECTED, Credential, RenewalContext
from .token_state import HeldToken, TokenState

__all__ = ["Rejection", "read_ban", "share_ban"]

LOOK_AGAIN = 60.0
"""Seconds between two looks at a shared ban, while calls are refused."""


class Rejection:
    """The rules of one source. ``shared``: the source has a cache."""

    def __init__(self, context: RenewalContext, *, shared: bool) -> None:
        self._context, self._shared = context, shared
        self._clock, self._events = context.clock, context.events

    def reject(
        self, state: TokenState, credential: Credential | None, token: AccessToken, origin: Origin | None
    ) -> None:
        """The API at ``origin`` refused this token: the next call mints another, unless forced mints are banned."""
        now, wall = self._clock.monotonic(), self._clock.wall()
        state.notice_jump(now, wall)
        with state.lock:
            held = state.held
            if held is None or held.token != token:
                return
            banned, often, ban = state.ban_holds(now), False, None
            if held.refusal is None:
                replaced, age = held.replaced, held.age(held.now(now, wall))
                held.refusal = refusal_of(replaced, age, held.lifetime, origin, accepted=held.accepted)
                often = held.accepted and held.refusal.early >= TOO_OFTEN
                too_often = often and is_too_often(held.refusal, state.forced_mint_ban, now)
                no_help = is_no_help(replaced, age, held.lifetime, accepted=held.accepted)
                if not banned and (too_often or no_help):
                    ban = state.forced_mint_ban = next_ban(state.forced_mint_ban, now, held.refusal)
            state.on_trial = True
            held.accepted = held.accepted and banned  # of use to other calls, while this one is refused
            if ban is None and not banned:
                state.refused, state.held = held, None
                state.rejected = (*state.rejected, held.fingerprint)[-KEPT_REJECTED:]
        if often and not banned:
            self._events.emit("refused_early", held.fingerprint, str(held.refusal.early))
        if banned:
            self._look(state, credential, now)
        elif ban is None:
            self._events.emit("rejected", held.fingerprint)
        else:
            self._events.emit("forced_mint_ban", held.fingerprint, holds=ban.until - now)
            self._beside(state, credential, lambda known: share_ban(self._context, known))

    def accepted(
        self, state: TokenState, credential: Credential | None, token: AccessToken, origin: Origin | None
    ) -> None:
        """The API at ``origin`` took this token. That ends its ban, except a firm one."""
        now = self._clock.monotonic()
        with state.lock:
            held, ban = state.held, state.forced_mint_ban
            if held is None or held.token != token:
                return
            cause = held.refusal or held.replaced
            holds = state.ban_holds(now)
            refused_by = cause.origin if cause is not None else ban.origin if ban is not None and holds else None
            if not same_api(refused_by, origin):
                held.works_elsewhere = True
                return
            held.accepted = True
            firm = holds and ban is not None and ban.firm
            if firm:
                return
            state.on_trial = False
            if ban is not None and holds:
                state.forced_mint_ban = ban.ended(now)
        if holds:
            self._events.emit("forced_mint_ban_ended", held.fingerprint)
        if holds or (held.replaced is not None and held.refusal is None):
            self._beside(state, credential, partial(self._share_acceptance, held, origin, holds))

    def refuse_banned_call(self, state: TokenState, credential: Credential | None, origin: Origin) -> None:
        """Raises TokenUnavailable where no good token is held, and this API has refused all new tokens so far."""
        now, wall = self._clock.monotonic(), self._clock.wall()
        state.notice_jump(now, wall)
        ban, held = state.forced_mint_ban, state.held
        if ban is None or now >= ban.until or ban.origin is None or ban.origin != origin:
            return
        if held is not None and (held.accepted or held.is_good(now, wall)):
            return
        self._look(state, credential, now)
        raise TokenUnavailable(
            f"{origin[0]}://{origin[1]}:{origin[2]} refuses every new token with a 401, so no token is requested for "
            f"it for {ban.until - now:.0f} s. Fix: check the audience and the scope, and that it knows this client",
            cause_code="forced_mint_ban",
            retry_after=ban.until - now,
        )

    # on threads of their own

    def _beside(self, state: TokenState, credential: Credential | None, work: Callable[[Credential], object]) -> None:
        """Runs this work with the shared cache on a thread of its own."""
        if credential is None or not self._shared:
            return

        def run(_: Flight) -> None:
            try:
                work(credential)
            finally:
                credential.store.release_thread()

        flight = state.beside = Flight(self._clock.monotonic(), "forced_mint_ban")
        flight.launch(run, lambda _: None)

    def _share_acceptance(self, held: HeldToken, origin: Origin | None, known: bool, credential: Credential) -> None:
        """The other processes learn that the ban is over, or that the new token works. ``known``: so was the ban."""
        store, state, wall = credential.store, credential.state, self._clock.wall()
        shared = store.read_ban(self._events)
        if not known and shared is not None and not shared.over and shared.until > wall:
            # Calls of another process were refused with this very token.
            state.forced_mint_ban, state.on_trial = read_ban(self._context, credential), True
            return
        if known and shared is not None and same_api(shared.origin, origin):
            store.write_ban(shared.ended(wall), self._events)
        left = held.edges.expires_at - held.now(self._clock.monotonic(), wall)
        if held.refusal is not None or held.replaced is None or held.guessed or left <= 0:
            return  # of a token from a clock ahead, only the cache's own time to live knows the end
        entry = store.read(self._events, newest=True)
        if entry is not None and entry.value == held.token.value and entry.replaced is not None:
            store.write(entry._replace(replaced=None), left, self._events)

    def _look(self, state: TokenState, credential: Credential | None, now: float) -> None:
        """Reads the shared token and ban, once a minute at most: another process may know that the API works again."""
        if now < state.ban_read_at + LOOK_AGAIN:
            return
        state.ban_read_at = now
        self._beside(state, credential, self._read)

    def _read(self, credential: Credential) -> None:
        state = credential.state
        shared = read_ban(self._context, credential)
        if shared is not None and shared.over:
            state.forced_mint_ban = shared
        Adoption(self._context, credential, REJECTED).adopt(credential.store.read(self._events, newest=True))


def read_ban(context: RenewalContext, credential: Credential) -> ForcedMintBan | None:
    """The shared ban on this process's monotonic clock; it may be over. None: there is none."""
    ban = credential.store.read_ban(context.events)
    if ban is None:
        return None
    left = 0.0 if ban.over else min(ban.until - context.clock.wall(), ban.length)  # a host's clock may be far ahead
    return ban._replace(until=context.clock.monotonic() + left)


def share_ban(context: RenewalContext, credential: Credential) -> None:
    """Shares this process's ban. One that held already is this process's, too; one that had ended is followed."""
    state, shared = credential.state, read_ban(context, credential)
    ban = state.forced_mint_ban
    if ban is None:
        return
    began = ban.until - ban.length
    if shared is not None and shared.is_recent(began) and shared.level >= ban.level:
        if not shared.over and began < shared.until:
            state.forced_mint_ban = shared
            return
        ban = state.forced_mint_ban = next_ban(shared, began, Refusal(ban.origin))
    until = context.clock.wall() + ban.until - context.clock.monotonic()
    credential.store.write_ban(ban._replace(until=until), context.events)
