"""The cache behind ``cache=``: a URL, a TokenCache or a native client."""

from __future__ import annotations

import os
from collections.abc import Hashable
from typing import NamedTuple

from ..caches.opening import from_client, from_url
from ..caches.protocol import TokenCache
from ..errors import ConfigurationError
from ..runtime.bounded_map import BoundedMap
from ..runtime.identity_key import identity_key
from .sealing import require_cryptography

__all__ = ["checked_cache"]


def checked_cache(cache: object) -> TokenCache | None:
    """The cache behind ``cache=``: a URL, a TokenCache or a native client. Raises ConfigurationError for all else."""
    if cache is None:
        return None
    opened = cache if isinstance(cache, TokenCache) else _opened(cache)
    if opened is None:
        raise ConfigurationError(
            f"cache={type(cache).__name__} is neither a URL such as 'disk:', nor a known client (redis, "
            "valkey, pymemcache, a boto3 table, cachelib, diskcache), nor an object with the TokenCache protocol"
        )
    if opened.capabilities.shared:
        require_cryptography()
    return opened


class _CacheFound(NamedTuple):
    cache: TokenCache | None
    """None for an object that is no known client."""


_opened_caches: BoundedMap[Hashable, _CacheFound] = BoundedMap(256)


def _opened(given: object) -> TokenCache | None:
    """One cache per URL or native client, and process, so that equal sources share it; the latest 256 are kept."""
    if isinstance(given, str):
        return _opened_caches.get_or_add((given, *_homes()), lambda: _CacheFound(from_url(given))).cache
    return _opened_caches.get_or_add(identity_key(given), lambda: _CacheFound(from_client(given))).cache


def _homes() -> list[str | None]:
    """What ``disk:`` and ``~`` stand for. A test may give itself a home of its own."""
    return [os.environ.get(name) for name in ("HOME", "XDG_CACHE_HOME", "M2M_AUTH_CACHE_FOLDER")]
