"""The protocol between the engine and a cache.

A cache stores opaque bytes. They are sealed before they reach a shared cache, so a cache never sees a token.
"""

from __future__ import annotations

import contextlib
from typing import Protocol, runtime_checkable

from ..values import Value

__all__ = ["OPTIONAL_KEY_PREFIX", "Capabilities", "TokenCache", "release_thread"]

OPTIONAL_KEY_PREFIX = "m2m1.h."
"""Keys with this prefix hold entries that no call needs, such as the history of mints that a status page shows.

A small store does without them first.
"""


class Capabilities(Value):
    """What a cache can do. The engine works without what is missing, and a warning names it."""

    shared: bool = True
    """Other processes see the entries. Values are sealed before they are stored."""
    atomic_add: bool = True
    """``add`` has exactly one winner, so that it can serve as a lease."""
    compare_delete: bool = True
    """``delete_if`` is atomic: a lease can be released before it lapses."""
    atomic_increment: bool = True
    """``increment`` loses no count."""
    resolution: float = 0.001
    """The shortest time to live that the cache can keep, in seconds."""


@runtime_checkable
class TokenCache(Protocol):
    """A cache of tokens, leases and counters. ``CacheContract`` in ``m2m_auth.testing`` tests an implementation.

    Keys are at most 64 ASCII characters, values are bytes, times to live are seconds (fractions allowed; a cache
    with a coarser ``resolution`` rounds up). Every method may raise :class:`m2m_auth.errors.CacheUnavailable` and
    nothing else; the engine then goes on without the cache. Several threads call the methods at once.

    One more method is optional: ``release_thread()``, for a cache that keeps a connection per thread. The engine
    calls it on each of its threads that ends.
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
        """Deletes a key; a missing key is no error."""
        ...

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """Stores the value unless the key has a live one. Atomic: True for exactly one caller."""
        ...

    def delete_if(self, key: str, value: bytes) -> bool:
        """Deletes the key if it still holds this value. Atomic; True if it did."""
        ...

    def increment(self, key: str, ttl: float) -> int:
        """Adds one and returns the count. Atomic; the time to live counts from the first increment."""
        ...

    def close(self) -> None:
        """Closes connections. The next operation opens them again."""
        ...


def release_thread(cache: object) -> None:
    """Calls the cache's ``release_thread()``, if it defines one, so that it closes this thread's connections.

    Never raises: a user's own cache may raise anything, and a thread that ends has no caller to report it to.
    """
    release = getattr(cache, "release_thread", None)
    if release is not None:
        with contextlib.suppress(Exception):
            release()
