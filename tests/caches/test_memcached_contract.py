"""The memcached cache passes the contract that every cache passes: on one real server, on three, and over TLS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from real_servers.stores import Store, start_memcached

from m2m_auth.caches.memcached import MemcachedTokenCache
from m2m_auth.caches.protocol import TokenCache
from m2m_auth.testing import CacheContract


@pytest.fixture(scope="module")
def stores() -> Iterator[list[Store]]:
    """Three servers."""
    with start_memcached() as first, start_memcached() as second, start_memcached() as third:
        yield [first, second, third]


class TestOneServer(CacheContract):
    """The contract over one memcached, races between processes included."""

    lease_rounds = 200

    @pytest.fixture
    def open_cache(self, stores: list[Store]) -> Callable[[], TokenCache]:
        """Opens the same server each time, in any process."""
        return partial(MemcachedTokenCache, stores[0].address, timeout=5)


class TestThreeServers(CacheContract):
    """The contract over three memcacheds, each key on one of them."""

    @pytest.fixture
    def open_cache(self, stores: list[Store]) -> Callable[[], TokenCache]:
        """Opens the same servers each time, in any process."""
        return partial(MemcachedTokenCache, [store.address for store in stores], timeout=5)
