"""Several caches as one: a near one, such as a disk, in front of a far one, such as Redis."""

from __future__ import annotations

from ..errors import ConfigurationError
from .opening import from_client, from_url
from .protocol import Capabilities, TokenCache

__all__ = ["TieredCache"]


class TieredCache:
    """The engine reads a token from the nearest tier that has one. Leases, counters and failures are in the farthest.

    A token from a farther tier is copied into the nearer ones. Before a mint the engine reads the farthest tier, since
    another host may have renewed the token. While the farthest tier is down, the next nearer one replaces it, the lease
    included: then each host mints once.

    The engine uses the caches in :attr:`tiers`. The methods of this object use the farthest tier, except where they say
    otherwise.

    Args:
        tiers: the caches, the nearest first: URLs, TokenCache objects or native clients; two or more.

    Raises:
        ConfigurationError: there are fewer than two tiers, or one of them is not a cache.
    """

    def __init__(self, *tiers: object) -> None:
        if len(tiers) < 2:
            raise ConfigurationError("TieredCache needs at least two caches, the nearest first")
        self.tiers: tuple[TokenCache, ...] = tuple(_opened(tier) for tier in tiers)
        self._far = self.tiers[-1]
        if not self._far.capabilities.shared and any(tier.capabilities.shared for tier in self.tiers):
            raise ConfigurationError(
                f"{self!r}: processes coordinate through the last tier, and only one process sees this one. "
                "Fix: name the nearest tier first"
            )

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of the farthest tier."""
        return self._far.capabilities

    def __repr__(self) -> str:
        return f"TieredCache({', '.join(map(repr, self.tiers))})"

    def get(self, key: str) -> bytes | None:
        """The live value in the farthest tier, or None."""
        return self._far.get(key)

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """Stores a value in every tier."""
        for tier in reversed(self.tiers):
            tier.set(key, value, ttl)

    def delete(self, key: str) -> None:
        """Deletes a key in every tier."""
        for tier in reversed(self.tiers):
            tier.delete(key)

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """Stores the value in the farthest tier unless the key has a live one."""
        return self._far.add(key, value, ttl)

    def delete_if(self, key: str, value: bytes) -> bool:
        """Deletes the key if it still holds this value, in the farthest tier."""
        return self._far.delete_if(key, value)

    def increment(self, key: str, ttl: float) -> int:
        """Adds one and returns the count, in the farthest tier."""
        return self._far.increment(key, ttl)

    def close(self) -> None:
        """Closes every tier."""
        for tier in self.tiers:
            tier.close()


def _opened(tier: object) -> TokenCache:
    cache = tier if isinstance(tier, TokenCache) else from_url(tier) if isinstance(tier, str) else from_client(tier)
    if cache is None:
        raise ConfigurationError(f"TieredCache: {type(tier).__name__} is neither a cache nor the URL of a cache")
    if hasattr(cache, "tiers"):
        raise ConfigurationError("TieredCache: a tier is a single cache. Fix: name all tiers in one TieredCache")
    return cache
