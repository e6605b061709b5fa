"""The memcached cache passes the contract of caches, on three real servers and on one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from real_servers.stores import Store, start_memcached
from store_variants import StoreVariant

from m2m_auth.caches.memcached import MemcachedTokenCache
from m2m_auth.caches.protocol import TokenCache
from m2m_auth.testing import CacheContract

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def stores() -> Iterator[list[Store]]:
    """Three servers."""
    with start_memcached() as first, start_memcached() as second, start_memcached() as third:
        yield [first, second, third]


class TestOneServer(StoreVariant):
    """One server that has all keys."""

    @pytest.fixture
    def open_cache(self, stores: list[Store]) -> Callable[[], TokenCache]:
        """Opens the same server each time, in any process."""
        return partial(MemcachedTokenCache, stores[0].address, timeout=5)


class TestThreeServers(CacheContract):
    """Each key is on one of three servers, the same in every process."""

    lease_rounds = 200

    @pytest.fixture
    def open_cache(self, stores: list[Store]) -> Callable[[], TokenCache]:
        """Opens the same servers each time, in any process."""
        return partial(MemcachedTokenCache, [store.address for store in stores], timeout=5)
