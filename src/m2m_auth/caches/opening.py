"""From a URL or a native client to its token cache. One table lists the caches.

``docs/design.md`` has the recipe for a new one. Its file may import a client library at its top, since the file is
imported only when its cache is opened.
"""

from __future__ import annotations

import importlib
from typing import NamedTuple

from ..errors import ConfigurationError, missing_extra, nearest
from .protocol import TokenCache
from .urls import without_password

__all__ = ["CACHES", "KnownCache", "from_client", "from_url"]


class KnownCache(NamedTuple):
    """One cache. Its class has ``from_url`` if the cache has schemes, ``from_client`` if it has client packages."""

    module: str
    """The file or sub-folder beside this file."""
    class_name: str
    extra: str
    """The extra of ``pip install 'm2m-auth[…]'`` that brings the client library."""
    schemes: str = ""
    """Of URLs, separated by blanks."""
    client_packages: str = ""
    """The packages that classes of native clients, or their base classes, come from; separated by blanks."""


CACHES = (  # module, class, extra, URL schemes, client packages
    KnownCache("memory", "MemoryTokenCache", "", "memory"),
    KnownCache("disk", "DiskTokenCache", "disk", "disk", "diskcache"),
    KnownCache("redis", "RedisTokenCache", "redis", "redis rediss valkey valkeys", "redis valkey"),
    KnownCache("memcached", "MemcachedTokenCache", "memcached", "memcached", "pymemcache"),
    KnownCache("dynamodb", "DynamoDBTokenCache", "dynamodb", "dynamodb", "boto3"),
    KnownCache("cachelib", "CachelibTokenCache", "cachelib", "", "cachelib"),
)
_BY_SCHEME = {scheme: row for row in CACHES for scheme in row.schemes.split()}
_BY_PACKAGE = {package: row for row in CACHES for package in row.client_packages.split()}


def from_url(url: str) -> TokenCache:
    """The cache behind a URL such as ``disk:``, ``redis://host``, ``memcached://host:port`` or ``dynamodb://table``.

    Raises:
        ConfigurationError: the scheme is unknown, the extra is not installed, or the cache refuses the URL.
    """
    scheme, colon, _ = url.partition(":")
    row = _BY_SCHEME.get(scheme.lower())
    if not colon or row is None:
        near = nearest(scheme, _BY_SCHEME) if row is None else f" (did you mean '{scheme}:'?)"
        raise ConfigurationError(
            f"cache={without_password(url)!r}: no cache has this URL scheme{near}. "
            f"Known: {', '.join(f'{known}:' for known in _BY_SCHEME)}; or pass an object with the TokenCache protocol."
        )
    return _opened(row, "from_url", url, f"cache={without_password(url)!r}")


def from_client(client: object) -> TokenCache | None:
    """The cache over a native client (redis-py, pymemcache, a boto3 table, cachelib, diskcache); None for others.

    Raises:
        ConfigurationError: the cache refuses the client, or its extra is not installed.
    """
    packages = [base.__module__.partition(".")[0] for base in type(client).__mro__]
    row = next((_BY_PACKAGE[package] for package in packages if package in _BY_PACKAGE), None)
    if row is None:
        return None
    return _opened(row, "from_client", client, f"cache={type(client).__name__}(…)")


def _opened(row: KnownCache, constructor: str, given: object, setting: str) -> TokenCache:
    try:
        cache_class = getattr(importlib.import_module(f"{__package__}.{row.module}"), row.class_name)
        cache: TokenCache = getattr(cache_class, constructor)(given)
    except ImportError as error:
        raise ConfigurationError(missing_extra(setting, error, row.extra)) from None
    return cache
