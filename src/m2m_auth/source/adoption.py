"""How a process takes a token: from the shared cache if that one is better than its own, or fresh from the server."""

from __future__ import annotations

from ..lifecycle.decision import Pause
from ..lifecycle.schedule import Schedule, schedule
from ..oauth2.tokens import AccessToken, token_fingerprint
from ..shared_cache.entries import KEPT_REJECTED, Entry
from .renewal_context import Credential, RenewalContext
from .token_state import HeldToken

__all__ = ["Adoption"]

CLOCK_TOLERANCE = 1.0
"""Seconds that another host's clock may be ahead of this one's without an effect."""


class Adoption:
    """Decides which token one flight takes over. ``reason``: why the flight runs."""

    def __init__(self, context: RenewalContext, credential: Credential, reason: str) -> None:
        self._context, self._reason = context, reason
        self._fingerprint_key = credential.fingerprint_key
        self._state, self._store = credential.state, credential.store
        self._clock, self._events = context.clock, context.events
        self._superseded: set[str] = set()

    def supersede(self, entry: Entry | None) -> None:
        """For a forced mint: this flight adopts neither the shared token nor the held one again."""
        held = self._state.held
        if entry is not None and entry.value is not None:
            self._superseded.add(self.fingerprint(entry.value))
        if held is not None:
            self._superseded.add(held.fingerprint)

    def fingerprint(self, value: str) -> str:
        """The full fingerprint of a token."""
        return token_fingerprint(self._fingerprint_key, value)

    def is_usable(self, entry: Entry | None) -> bool:
        """True if the entry holds a token that is neither superseded nor refused."""
        if entry is None or entry.value is None:
            return False
        fingerprint = self.fingerprint(entry.value)
        return not (
            fingerprint in self._superseded or fingerprint in self._state.rejected or fingerprint in entry.rejected
        )

    def adopt(self, entry: Entry | None) -> bool:
        """Takes the shared token if it expires later than the held one and no API has refused it."""
        if entry is None or entry.value is None:
            if self._store.answers:
                self._events.emit("cache_miss", reason=self._reason)
            return False
        fingerprint = self.fingerprint(entry.value)
        self._events.emit("cache_hit", fingerprint, self._reason)
        if fingerprint in self._superseded:
            return False
        if not self.is_usable(entry):
            self._events.emit("tombstone_hit", fingerprint)
            return False
        held, now, wall = self._state.held, self._clock.monotonic(), self._clock.wall()
        edges, guessed = self._edges(entry, fingerprint, now, wall)
        if edges.expires_at <= now or entry.issued_at > wall + self._context.policy.max_lifetime:
            return False  # or from so far ahead that one of the clocks is a test's
        if held is not None and held.is_good(now, wall):
            own = held.edges_at(now, wall)
            if guessed and fingerprint != held.fingerprint:
                # Another process has renewed, so there is no reason to mint. This process takes the token when its
                # own clock reaches the time of issue.
                issued_at = now + entry.issued_at - wall
                if now < own.expiring_at:
                    self._state.pause = Pause(min(issued_at, own.expiring_at))
                    return True
            elif fingerprint == held.fingerprint:
                if not held.guessed:
                    return False
            elif edges.expires_at <= own.expires_at:
                return False
        self.hold(entry, fingerprint, edges, guessed=guessed)
        self._events.emit("adopted", fingerprint, self._reason, holds=edges.expires_at - now)
        return True

    def _edges(self, entry: Entry, fingerprint: str, now: float, wall: float) -> tuple[Schedule, bool]:
        """When a shared token ends on this host's clock, and whether that is a guess because the clocks disagree."""
        policy, age = self._context.policy, wall - entry.issued_at
        if age >= -CLOCK_TOLERANCE:
            return schedule(now - max(age, 0.0), entry.lifetime, policy, self._clock.uniform()), False
        # Another clock is ahead of this one, so the token's age is unknown. That it is still in the cache shows that
        # it lives: trust it for the last stretch of a life, and read the cache again half-way.
        self._events.emit("clock_skew", fingerprint, seconds=-age)
        margin = policy.last_stretch(entry.lifetime)
        return Schedule(now + margin / 2, now + margin * 0.9, now + margin), True

    def hold(self, entry: Entry, fingerprint: str, edges: Schedule, *, guessed: bool = False) -> None:
        """Makes this token the held one; callers get it from now on."""
        token = AccessToken(
            entry.value or "",
            scope=entry.scope,
            issued_at=entry.issued_at,
            expires_at=entry.issued_at + entry.lifetime,
            fingerprint=fingerprint,
        )
        if entry.quota_low:
            edges = edges._replace(renew_at=max(edges.renew_at, edges.expiring_at))
        state, now = self._state, self._clock.monotonic()
        if state.held is not None and state.held.fingerprint != fingerprint:
            self._events.emit("renewed", fingerprint, self._reason, holds=edges.expires_at - now)
        before = state.held or state.refused
        if before is not None and before.fingerprint != fingerprint:
            state.earlier = (*state.earlier, before)[-KEPT_REJECTED:]
        offset = self._clock.wall() - now
        held = HeldToken(token, edges, offset, fingerprint, guessed=guessed, replaced=entry.replaced)
        if before is not None and before.fingerprint == fingerprint:
            held.refusal, held.accepted = before.refusal, before.accepted
            held.works_elsewhere = before.works_elsewhere
        state.on_trial = held.replaced is not None or held.refusal is not None or state.ban_holds(now)
        state.held, state.pause, state.refused = held, None, None
