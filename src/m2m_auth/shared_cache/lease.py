"""The lease of one key: an entry that exactly one process can add, so that one process of the fleet mints."""

from __future__ import annotations

import hashlib
import os
from enum import Enum
from operator import methodcaller

from ..events import EventEmitter
from .circuit_breaker import CircuitBreaker
from .keys import CacheKeys
from .sealed_tiers import SealedTiers

__all__ = ["Lease", "SharedLease", "new_owner"]


class Lease(Enum):
    """The answer to a request for the lease."""

    ACQUIRED = "this process has it"
    HELD = "another process has it"
    ERROR = "no cache can say"


class SharedLease:
    """One key's lease, in the farthest tier that answers; without any tier it is always free."""

    __slots__ = ("_asked", "_keys", "_tiers", "newest_issued_at")

    def __init__(self, tiers: SealedTiers, keys: CacheKeys) -> None:
        self._tiers = tiers
        self._keys = keys
        self._asked: tuple[CircuitBreaker, str] | None = None
        """Where the lease was last asked for, and under which key."""
        self.newest_issued_at = 0.0
        """When the newest token was issued that this process has read. It stays when the token ends."""

    def take(self, owner: bytes, ttl: float, events: EventEmitter) -> Lease:
        """Asks for the right to mint for ``ttl`` seconds."""
        self._asked = None
        able = [breaker for breaker in self._tiers.farthest_first if breaker.capabilities.atomic_add]
        for breaker in able:
            key = self._key(breaker)
            answered, won = breaker.do(events, methodcaller("add", key, owner, ttl))
            if answered:
                self._asked = breaker, key
                return Lease.ACQUIRED if won else Lease.HELD
        return Lease.ERROR if able else Lease.ACQUIRED

    def longest(self, ttl: float) -> float:
        """The longest life in seconds of a lease of ``ttl``: a cache may round up, and count ticks of its clock."""
        return ttl if self._asked is None else ttl + 2 * self._asked[0].capabilities.resolution

    def holder(self, events: EventEmitter) -> bytes | None:
        """Owner of the most recently requested lease; None if the lease is free."""
        if self._asked is None:
            return None
        breaker, key = self._asked
        return breaker.do(events, lambda cache: cache.get(key))[1]

    def release(self, owner: bytes, events: EventEmitter) -> None:
        """Deletes the lease if it is still this owner's. Where the cache cannot compare, the lease lapses."""
        if self._asked is not None:
            breaker, key = self._asked
            if breaker.capabilities.compare_delete:
                breaker.do(events, lambda cache: cache.delete_if(key, owner))

    def _key(self, breaker: CircuitBreaker) -> str:
        """The lease's key.

        Where a cache cannot release a lease, the key changes after each mint and each failure, so that an unreleased
        lease blocks nothing.
        """
        if breaker.capabilities.compare_delete:
            return self._keys.lease
        seen = repr(self.newest_issued_at).encode() + self._tiers.seen(breaker, self._keys.failure)
        return f"{self._keys.lease}.{hashlib.sha256(seen).hexdigest()[:8]}"


def new_owner() -> bytes:
    """A random owner id for a lease."""
    return os.urandom(16).hex().encode()
