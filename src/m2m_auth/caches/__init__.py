"""Shared token caches: the protocol, :func:`from_url` and :func:`from_client`.

A cache holds opaque, already sealed bytes; it never sees a token in the clear. Each client library is
imported only when its cache is opened.
"""

from __future__ import annotations

import importlib
import re
from typing import NamedTuple, Protocol, runtime_checkable

from ..errors import ConfigurationError, missing_extra, nearest

__all__ = ["Capabilities", "TokenCache", "from_client", "from_url", "shown"]


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

    A cache that keeps a connection per thread may also define ``release_thread()``: it is called at the end
    of each flight, on the flight's thread.
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


_SCHEMES = {
    "memory": "memory:MemoryTokenCache",
    "disk": "disk:DiskTokenCache",
    "redis": "redis:RedisTokenCache",
    "rediss": "redis:RedisTokenCache",
    "valkey": "redis:RedisTokenCache",
    "valkeys": "redis:RedisTokenCache",
    "memcached": "memcached:MemcachedTokenCache",
    "dynamodb": "dynamodb:DynamoDBTokenCache",
}
_CLIENTS = {
    "diskcache": "disk:DiskTokenCache",
    "redis": "redis:RedisTokenCache",
    "valkey": "redis:RedisTokenCache",
    "pymemcache": "memcached:MemcachedTokenCache",
    "boto3": "dynamodb:DynamoDBTokenCache",
    "cachelib": "cachelib:CachelibTokenCache",
}
"""By the package that a native client's class, or one of its base classes, comes from."""


def from_url(url: str) -> TokenCache:
    """The cache behind a URL such as ``disk:``, ``redis://host``, ``memcached://host:port`` or ``dynamodb://table``.

    Raises:
        ConfigurationError: the scheme is unknown, the extra is not installed, or the cache refuses the URL.
    """
    scheme, colon, _ = url.partition(":")
    target = _SCHEMES.get(scheme.lower())
    if not colon or target is None:
        raise ConfigurationError(
            f"cache={shown(url)!r}: no cache has this URL scheme{nearest(scheme, _SCHEMES)}. "
            f"Known: {', '.join(f'{known}:' for known in _SCHEMES)}; or pass an object with the TokenCache protocol."
        )
    return _made(target, "from_url", url, f"cache={shown(url)!r}")


def from_client(client: object) -> TokenCache | None:
    """The cache over a native client (redis-py, pymemcache, a boto3 table, cachelib, diskcache); None for others.

    Raises:
        ConfigurationError: the cache refuses the client, or its extra is not installed.
    """
    packages = [base.__module__.partition(".")[0] for base in type(client).__mro__]
    target = next((_CLIENTS[package] for package in packages if package in _CLIENTS), None)
    if target is None:
        return None
    return _made(target, "from_client", client, f"cache={type(client).__name__}(…)")


def shown(url: str) -> str:
    """A cache's URL without the password in it."""
    place, _, options = url.partition("?")
    if "@" in options:  # or is the "?" in a password? Nobody can tell.
        place = re.sub(r"(?s)(?<=:)(//)?.*", r"\1***", place)
    return re.sub(r"(?s)^([A-Za-z][A-Za-z0-9+.-]*:(?://)?|://)?.*@", r"\1***@", place)


def _made(target: str, constructor: str, given: object, what: str) -> TokenCache:
    module, _, name = target.partition(":")
    try:
        cache: TokenCache = getattr(getattr(importlib.import_module(f"{__name__}.{module}"), name), constructor)(given)
    except ImportError as error:
        raise ConfigurationError(missing_extra(what, error, module)) from None
    return cache
