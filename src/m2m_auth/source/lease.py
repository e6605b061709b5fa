"""The lease in one flight: how it is taken (step 3), waited for, and released (step 7).

One process of the fleet has the lease of a key at a time, and only that process mints.
"""

from __future__ import annotations

from collections.abc import Callable

from ..lifecycle.decision import Pause
from ..shared_cache.lease import Lease, new_owner
from .renewal_context import RENEWAL, Credential, RenewalContext
from .token_state import HeldToken

__all__ = ["MintLease"]

LOOK_AGAIN = 0.25
"""Seconds until a process that found the lease held, and has a good token, starts another flight."""
POLL = (0.05, 0.1)
"""A process without a token reads the shared cache every 50 ms, plus up to 100 ms, while another one mints."""


class MintLease:
    """One flight's lease. The random owner id of the flight proves that the lease is its own."""

    def __init__(self, context: RenewalContext, credential: Credential, reason: str) -> None:
        self._context, self._reason = context, reason
        self._state, self._store = credential.state, credential.store
        self._clock, self._events = context.clock, context.events
        self._owner = new_owner()

    def take(self, is_settled: Callable[[], bool]) -> Lease:
        """ACQUIRED: this flight mints. HELD: another process has minted or failed. ERROR: no cache can grant the lease.

        Where a good token is held, a renewal does not wait for the other process. Otherwise this blocks until
        ``is_settled()`` finds the other process's token or failure, or until the lease lapses.
        """
        lease = self._ask()
        if lease is not Lease.HELD:
            return lease
        if self._reason == RENEWAL and self._good(self._state.held):
            self._state.pause = Pause(self._clock.monotonic() + LOOK_AGAIN)
            return lease
        since = self._clock.monotonic()
        lease = self._wait(is_settled)
        self._events.emit("lease_wait", reason=self._reason, seconds=self._clock.monotonic() - since)
        return lease

    def _wait(self, is_settled: Callable[[], bool]) -> Lease:
        holder, holder_since = self._holder(), self._clock.monotonic()
        while True:
            self._clock.sleep(POLL[0] + POLL[1] * self._clock.uniform())
            if is_settled():
                return Lease.HELD
            lease = self._ask()
            if lease is not Lease.HELD:
                return lease
            holder = holder or self._holder()
            if self._clock.monotonic() - holder_since >= self._store.lease.longest(self._context.policy.lease):
                successor = self._holder()
                if successor == holder:  # no lease stands that long: the cache gives a wrong answer
                    return Lease.ERROR
                holder, holder_since = successor, self._clock.monotonic()

    def _holder(self) -> bytes | None:
        return self._store.lease.holder(self._events)

    def _ask(self) -> Lease:
        return self._store.lease.take(self._owner, self._context.policy.lease, self._events)

    def must_wait_without_lease(self) -> bool:
        """True if no cache can give the lease, and it is too soon for a mint without one.

        The cache may work again before the held token ends, and another process may renew the token. So the first
        attempt waits for half of the time that is left. If the cache stays away, this process mints on its own, but
        at most once per 10 s, or per tenth of the token's life if that is longer.
        """
        state, held, now = self._state, self._state.held, self._clock.monotonic()
        if held is None or not self._good(held):
            return False
        not_before = min(state.last_mint + max(10.0, held.lifetime / 10), held.edges.expires_at)
        if state.lease_failed_for != held.fingerprint:
            state.lease_failed_for = held.fingerprint
            not_before = max(not_before, now + (held.edges.expiring_at - now) / 2)
        if now >= not_before:
            return False
        state.pause = Pause(not_before)
        return True

    def release(self) -> None:
        """Gives the lease back if this flight still has it."""
        self._store.lease.release(self._owner, self._events)

    def _good(self, held: HeldToken | None) -> bool:
        return held is not None and held.is_good(self._clock.monotonic(), self._clock.wall())
