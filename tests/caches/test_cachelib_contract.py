"""cachelib's caches pass the contract that every cache passes; what one lacks is skipped by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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

ANYBODY = {"region_name": "eu-central-1", "aws_access_key_id": "key", "aws_secret_access_key": "secret"}


@pytest.fixture(scope="module")
def valkey_port() -> Iterator[int]:
    """A real Valkey server."""
    with start_valkey() as store:
        yield store.port


@pytest.fixture(scope="module")
def memcached_port() -> Iterator[int]:
    """A real memcached."""
    with start_memcached() as store:
        yield store.port


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A real server of DynamoDB's protocol, with the table that cachelib makes."""
    with start_dynamodb() as store:
        with_table = cachelib.DynamoDbCache("python-cache", endpoint_url=f"http://{store.address}", **ANYBODY)
        with_table._table.meta.client.close()
        yield f"http://{store.address}"


def opened(kind: type[cachelib.BaseCache], *arguments: Any, **options: Any) -> TokenCache:
    """The token cache over a new cachelib cache; a function that other processes can import."""
    cache = from_client(kind(*arguments, **options))
    assert cache is not None
    return cache


def opened_on_pymemcache(port: int) -> TokenCache:
    """What becomes of cachelib's cache over pymemcache, with a deadline for busy machines."""
    theirs = cachelib.MemcachedCache(pymemcache.Client(("127.0.0.1", port)))  # it never connects
    assert isinstance(from_client(theirs), MemcachedTokenCache)
    return MemcachedTokenCache.from_client(theirs._client, timeout=5)


def opened_on_redis(port: int) -> TokenCache:
    """What becomes of cachelib's cache over redis-py, with a deadline for busy machines."""
    theirs = cachelib.RedisCache("127.0.0.1", port)
    assert isinstance(from_client(theirs), RedisTokenCache)
    return RedisTokenCache(theirs._write_client, timeout=5)


class TestSimpleCache(CacheContract):
    """The contract over SimpleCache, which lives in one process."""

    @pytest.fixture
    def cache(self) -> TokenCache:
        """A cache of its own for each test."""
        return CachelibTokenCache(cachelib.SimpleCache())


class TestFileSystemCache(CacheContract):
    """The contract over FileSystemCache, which has no lease."""

    @pytest.fixture
    def open_cache(self, tmp_path: Path) -> Callable[[], TokenCache]:
        """Opens the same folder each time."""
        return partial(opened, cachelib.FileSystemCache, str(tmp_path / "cache"))


class TestRedisCache(CacheContract):
    """The contract over RedisCache, which becomes our own cache over the same server."""

    @pytest.fixture
    def open_cache(self, valkey_port: int) -> Callable[[], TokenCache]:
        """Opens the same server each time."""
        return partial(opened_on_redis, valkey_port)


class TestMemcachedCache(CacheContract):
    """The contract over MemcachedCache on pymemcache, which becomes our own cache over the same server."""

    @pytest.fixture
    def open_cache(self, memcached_port: int) -> Callable[[], TokenCache]:
        """Opens the same server each time."""
        return partial(opened_on_pymemcache, memcached_port)


class ClosingDynamoDb(CachelibTokenCache):
    """The token cache over a DynamoDbCache that is this test's alone, so that its sockets are closed with it."""

    def __init__(self, endpoint: str) -> None:
        self._theirs = cachelib.DynamoDbCache("python-cache", endpoint_url=endpoint, **ANYBODY)
        super().__init__(self._theirs)

    def close(self) -> None:
        """boto3 opens them again when they are used again."""
        self._theirs._table.meta.client.close()


class TestDynamoDbCache(CacheContract):
    """The contract over DynamoDbCache, whose lease is real and cannot be released."""

    @pytest.fixture
    def open_cache(self, endpoint: str) -> Callable[[], TokenCache]:
        """Opens the same table each time."""
        return partial(ClosingDynamoDb, endpoint)
