"""Shared token caches: the protocol, :func:`from_url` and :func:`from_client`.

A cache holds opaque, already sealed bytes; it never sees a token in the clear. Each client library is
imported only when its cache is opened.
"""

from __future__ import annotations

import importlib
import re

from ..errors import ConfigurationError, missing_extra, nearest
from .protocol import TokenCache

__all__ = ["from_client", "from_url", "shown"]


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
        cache: TokenCache = getattr(getattr(importlib.import_module(f"{__package__}.{module}"), name), constructor)(
            given
        )
    except ImportError as error:
        raise ConfigurationError(missing_extra(what, error, module)) from None
    return cache
