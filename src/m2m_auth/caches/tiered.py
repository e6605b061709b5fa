"""Several caches as one: a near one, such as a disk, in front of a far one, such as Redis."""

from __future__ import annotations

from ..errors import ConfigurationError
from .opening import from_client, from_url
from .protocol import Capabilities, TokenCache

__all__ = ["TieredCache"]


class TieredCache:
    """Tokens are read from the nearest tier that has one; whatever processes agree on is kept in the farthest.

    A token that is found in a farther tier is put into the nearer ones. Before a token is minted the farthest tier is
    asked, so that one which another host has renewed is taken from there. While the farthest tier is down the next
    nearer one stands in for it, the lease included: one mint per host.

    The engine knows the tiers by :attr:`tiers`; as a cache by itself this is the farthest one.

    Args:
        tiers: the caches, the nearest first: URLs, TokenCache objects or native clients; two or more.

    Raises:
        ConfigurationError: fewer than two tiers, or something that is no cache.
    """

    def __init__(self, *tiers: object) -> None:
        if len(tiers) < 2:
            raise ConfigurationError("TieredCache needs two caches at least, the nearest first")
        self.tiers: tuple[TokenCache, ...] = tuple(_opened(tier) for tier in tiers)
        self._far = self.tiers[-1]
        if not self._far.capabilities.shared and any(tier.capabilities.shared for tier in self.tiers):
            raise ConfigurationError(
                f"{self!r}: the last tier is what processes agree by, and this one is seen by one process only. "
                "Fix: name the nearest first"
            )

    @property
    def capabilities(self) -> Capabilities:
        """The farthest tier's."""
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
        """Forgets a key in every tier."""
        for tier in reversed(self.tiers):
            tier.delete(key)

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """Stores the value unless a live one is there, in the farthest tier."""
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
        raise ConfigurationError(f"TieredCache: {type(tier).__name__} is neither a cache nor a URL of one")
    if hasattr(cache, "tiers"):
        raise ConfigurationError("TieredCache: a tier is a single cache. Fix: name all tiers in one TieredCache")
    return cache
