"""A pymemcache client as the cache: only its address, TLS and key prefix are used."""

from __future__ import annotations

import pickle
import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from memcached_steps import raw_client
from pymemcache.client.base import Client, PooledClient
from pymemcache.client.hash import HashClient
from pymemcache.client.retrying import RetryingClient
from pymemcache.serde import pickle_serde
from real_servers.stores import Store, start_memcached

from m2m_auth.caches.memcached import MemcachedTokenCache

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """A memcached."""
    with start_memcached() as running:
        yield running


class Bomb:
    """Unpickling it creates the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["Client", "PooledClient", "HashClient", "RetryingClient"])
def test_a_native_client_that_pickles(store: Store, tmp_path: Path, kind: str) -> None:
    """The client's serde unpickles nothing, and its default noreply does not make every add win."""
    key = secrets.token_hex(32)
    address = ("127.0.0.1", store.port)
    client: Any
    if kind == "HashClient":
        client = HashClient([address], serde=pickle_serde, key_prefix=b"app:")
    else:
        client = (PooledClient if kind == "PooledClient" else Client)(address, serde=pickle_serde, key_prefix="app:")
    if kind == "RetryingClient":
        client = RetryingClient(client)
    trap = tmp_path / "unpickled"
    with closing(client):
        client.set(key, Bomb(trap), 60, noreply=False)
        with closing(MemcachedTokenCache.from_client(client, timeout=20)) as cache:
            read = cache.get(key)
            assert read is not None
            assert not trap.exists()
            assert cache.add(key, b"owner", 60) is False
            cache.delete(key)
            assert cache.add(key, b"owner", 60) is True
            assert cache.add(key, b"owner", 60) is False
            with raw_client(store) as behind:
                assert behind.get(f"app:{key}") == b"owner"
    pickle.loads(read)
    assert trap.exists()
