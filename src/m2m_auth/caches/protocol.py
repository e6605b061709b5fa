"""The protocol between the engine and a cache."""

from __future__ import annotations

import contextlib
from typing import NamedTuple, Protocol, runtime_checkable

__all__ = ["Capabilities", "TokenCache", "release_thread"]


class Capabilities(NamedTuple):
    """What a cache can do. The engine degrades in the open where something is missing."""

    shared: bool = True
    """Other processes see it. Values are sealed before they are stored."""
    atomic_add: bool = True
    """``add`` has exactly one winner: the lease is a real lease."""
    compare_delete: bool = True
    """``delete_if`` is atomic: a lease can be given back early."""
    atomic_increment: bool = True
    """``increment`` loses no count."""
    resolution: float = 0.001
    """The smallest time to live it can keep, in seconds."""


@runtime_checkable
class TokenCache(Protocol):
    """The whole protocol between the engine and a cache (see ``CacheContract`` in ``m2m_auth.testing``).

    Keys are at most 64 ASCII characters, values are bytes, times to live are seconds (fractions allowed;
    a cache with a coarser ``resolution`` rounds up). Every method may raise
    :class:`m2m_auth.errors.CacheUnavailable`, and nothing else: a fault of the cache never fails a call.
    Methods are called from several threads at once.

    One more method is optional: ``release_thread()``, for a cache that keeps a connection per thread. The engine
    calls it, by :func:`release_thread`, on each of its threads that ends.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What this cache can do."""
        ...

    def get(self, key: str) -> bytes | None:
        """The live value, or None. A counter reads as its decimal digits."""
        ...

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """Stores a value for ``ttl`` seconds."""
        ...

    def delete(self, key: str) -> None:
        """Forgets a key; a missing one is no error."""
        ...

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """Stores the value unless a live one is there. Atomic: True for exactly one caller."""
        ...

    def delete_if(self, key: str, value: bytes) -> bool:
        """Deletes the key if it still holds this value. Atomic; True if it did."""
        ...

    def increment(self, key: str, ttl: float) -> int:
        """Adds one and returns the count. Atomic; the time to live counts from the first increment."""
        ...

    def close(self) -> None:
        """Lets go of connections. The cache opens them again when it is used again."""
        ...


def release_thread(cache: object) -> None:
    """Lets the cache close what it keeps open for the calling thread, where it defines ``release_thread()``.

    Never raises: a user's own cache may raise anything, and a thread that ends has no caller to hear of it.
    """
    release = getattr(cache, "release_thread", None)
    if release is not None:
        with contextlib.suppress(Exception):
            release()
