"""Three memcached servers: each key has one server, also while that server is stopped."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing

import pytest
from memcached_steps import raw_client
from real_servers.stores import Store, start_memcached

from m2m_auth.caches.memcached import MemcachedTokenCache
from m2m_auth.errors import CacheUnavailable

pytestmark = pytest.mark.processes


@pytest.fixture
def stores() -> Iterator[list[Store]]:
    """Three memcached servers for one test."""
    with start_memcached() as first, start_memcached() as second, start_memcached() as third:
        yield [first, second, third]


def test_every_process_finds_the_same_server(stores: list[Store]) -> None:
    """Two caches with another order of the servers see each other's leases; every server gets keys."""
    addresses = [store.address for store in stores]
    one, two = MemcachedTokenCache(addresses, timeout=2), MemcachedTokenCache(",".join(addresses[::-1]), timeout=2)
    with closing(one), closing(two):
        for number in range(60):
            assert one.add(f"key{number}", b"one", 600) is True
            assert two.add(f"key{number}", b"two", 600) is False
            assert two.delete_if(f"key{number}", b"two") is False
    for store in stores:
        with raw_client(store) as client:
            assert int(client.stats()[b"curr_items"]) >= 5


def test_the_keys_of_a_dead_server_stay_with_it(stores: list[Store]) -> None:
    """Keys of a stopped server stay unavailable and do not move; the other keys work."""
    keys = [secrets.token_hex(32) for _ in range(40)]
    with closing(MemcachedTokenCache([store.address for store in stores], timeout=2)) as cache:
        for key in keys:
            assert cache.add(key, b"owner", 600)
        stores[1].stop()
        unavailable: list[set[str]] = []
        reasons: set[str] = set()
        for _ in range(4):
            unavailable.append(set())
            for key in keys:
                try:
                    assert cache.add(key, b"another", 600) is False
                    assert cache.get(key) == b"owner"
                except CacheUnavailable as error:
                    reasons |= {store.address for store in stores if store.address in str(error)}
                    unavailable[-1].add(key)
        assert reasons == {stores[1].address}
        assert 0 < len(unavailable[0]) < len(keys)
        assert unavailable == [unavailable[0]] * 4
        stores[1].start()
        for key in keys:
            assert cache.add(key, b"another", 600) is (key in unavailable[0])
