"""The cache behind ``cache=``: a URL, a TokenCache or a native client."""

from __future__ import annotations

import contextlib
from collections import OrderedDict

from ..caches.opening import from_client, from_url
from ..caches.protocol import TokenCache
from ..errors import ConfigurationError
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
            f"cache={type(cache).__name__} is neither a URL such as 'disk:', nor a client that is known (redis, "
            "valkey, pymemcache, a boto3 table, cachelib, diskcache), nor an object with the TokenCache protocol"
        )
    if opened.capabilities.shared:
        require_cryptography()
    return opened


_open_caches: OrderedDict[object, tuple[object, TokenCache | None]] = OrderedDict()

_MANY = 256


def _opened(given: object) -> TokenCache | None:
    """One cache per URL or native client, and process, so that equal sources share it; the latest 256 are kept."""
    key = given if isinstance(given, str) else identity_key(given)
    found = _open_caches.get(key)
    if found is None:
        opened = from_url(given) if isinstance(given, str) else from_client(given)
        found = _open_caches.setdefault(key, (given, opened))
        while len(_open_caches) > _MANY:
            _open_caches.popitem(last=False)
    else:
        with contextlib.suppress(KeyError):  # another thread has evicted it
            _open_caches.move_to_end(key)
    return found[1]
