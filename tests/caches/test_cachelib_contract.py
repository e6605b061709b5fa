"""The caches of cachelib pass the contract of caches, as far as their capabilities go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import cachelib
import pymemcache
import pytest
from real_servers.stores import start_dynamodb, start_memcached, start_valkey

from m2m_auth.caches.cachelib import CachelibTokenCache
from m2m_auth.caches.memcached import MemcachedTokenCache
from m2m_auth.caches.opening import from_client
from m2m_auth.caches.protocol import TokenCache
from m2m_auth.caches.redis import RedisTokenCache
from m2m_auth.testing import CacheContract

pytestmark = pytest.mark.processes

ANY_CREDENTIALS = {"region_name": "eu-central-1", "aws_access_key_id": "key", "aws_secret_access_key": "secret"}


@pytest.fixture(scope="module")
def valkey_port() -> Iterator[int]:
    """A Valkey server."""
    with start_valkey() as store:
        yield store.port


@pytest.fixture(scope="module")
def memcached_port() -> Iterator[int]:
    """A memcached server."""
    with start_memcached() as store:
        yield store.port


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A server of DynamoDB's protocol, with a table that cachelib made."""
    with start_dynamodb() as store:
        with_table = cachelib.DynamoDbCache("python-cache", endpoint_url=f"http://{store.address}", **ANY_CREDENTIALS)
        with_table._table.meta.client.close()
        yield f"http://{store.address}"


def opened(kind: type[cachelib.BaseCache], *arguments: Any, **options: Any) -> TokenCache:
    """The token cache over a new cachelib cache; a function that other processes can import."""
    cache = from_client(kind(*arguments, **options))
    assert cache is not None
    return cache


class TestSimpleCache(CacheContract):
    """A cache in one process."""

    @pytest.fixture
    def cache(self) -> TokenCache:
        """A new cache for each test."""
        return CachelibTokenCache(cachelib.SimpleCache())


class TestFileSystemCache(CacheContract):
    """A cache without a lease."""

    @pytest.fixture
    def open_cache(self, tmp_path: Path) -> Callable[[], TokenCache]:
        """Opens the same folder each time."""
        return partial(opened, cachelib.FileSystemCache, str(tmp_path / "cache"))


def test_redis_by_cachelib(valkey_port: int) -> None:
    """A RedisCache becomes a RedisTokenCache for the same server."""
    cachelibs = cachelib.RedisCache("127.0.0.1", valkey_port)
    with closing(from_client(cachelibs)) as cache:
        assert isinstance(cache, RedisTokenCache)
        cache.set("key", b"value", 60)
        with cachelibs._write_client as client:
            assert client.get("key") == b"value"


def test_memcached_by_cachelib(memcached_port: int) -> None:
    """A MemcachedCache on pymemcache becomes a MemcachedTokenCache for the same server."""
    with closing(pymemcache.Client(("127.0.0.1", memcached_port))) as client:
        with closing(from_client(cachelib.MemcachedCache(client))) as cache:
            assert isinstance(cache, MemcachedTokenCache)
            cache.set("key", b"value", 60)
        assert client.get("key") == b"value"


class ClosingDynamoDb(CachelibTokenCache):
    """The token cache over a DynamoDbCache of one test; it closes the sockets of that DynamoDbCache."""

    def __init__(self, endpoint: str) -> None:
        self._users_cache = cachelib.DynamoDbCache("python-cache", endpoint_url=endpoint, **ANY_CREDENTIALS)
        super().__init__(self._users_cache)

    def close(self) -> None:
        """boto3 opens them again at the next operation."""
        self._users_cache._table.meta.client.close()


class TestDynamoDbCache(CacheContract):
    """A cache with a lease that cannot be released."""

    @pytest.fixture
    def open_cache(self, endpoint: str) -> Callable[[], TokenCache]:
        """Opens the same table each time."""
        return partial(ClosingDynamoDb, endpoint)
