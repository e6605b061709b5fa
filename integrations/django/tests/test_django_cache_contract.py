"""Django's caches pass the contract of all caches; a test of a capability that one lacks is skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings
from django_opening import opened
from django_support import TABLE, database
from real_servers.stores import start_memcached, start_valkey

from m2m_auth.caches.protocol import TokenCache
from m2m_auth.testing import CacheContract

REDIS = "django.core.cache.backends.redis.RedisCache"
PYMEMCACHE = "django.core.cache.backends.memcached.PyMemcacheCache"
BUSY = {"OPTIONS": {"timeout": 10, "connect_timeout": 10}}


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


class TestLocalMemory(CacheContract):
    """The contract over LocMemCache, which lives in one process."""

    @pytest.fixture
    def cache(self) -> Iterator[TokenCache]:
        """The tests' default cache."""
        cache = opened({})
        yield cache
        cache.close()


class OverServer(CacheContract):
    """The contract over a server."""

    lease_rounds = 10

    @pytest.fixture
    def configured_cache(self) -> dict[str, Any]:
        """The entry of CACHES."""
        raise NotImplementedError

    @pytest.fixture
    def open_cache(self, configured_cache: dict[str, Any]) -> Iterator[Callable[[], TokenCache]]:
        """Opens the same server each time."""
        with override_settings(CACHES={"default": configured_cache}):
            yield partial(opened, configured_cache)


class TestRedis(OverServer):
    """The contract over RedisCache, with a key prefix and a version."""

    @pytest.fixture
    def configured_cache(self, valkey_port: int) -> dict[str, Any]:
        """A real Valkey."""
        options = {"OPTIONS": {"socket_timeout": 10, "socket_connect_timeout": 10}}
        location = f"redis://127.0.0.1:{valkey_port}"
        return {"BACKEND": REDIS, "LOCATION": location, "KEY_PREFIX": "shop", "VERSION": 3} | options


class TestMemcached(OverServer):
    """The contract over PyMemcacheCache."""

    @pytest.fixture
    def configured_cache(self, memcached_port: int) -> dict[str, Any]:
        """A real memcached."""
        return {"BACKEND": PYMEMCACHE, "LOCATION": f"127.0.0.1:{memcached_port}", **BUSY}


class TestFileBased(OverServer):
    """The contract over FileBasedCache, which has no lease."""

    @pytest.fixture
    def configured_cache(self, tmp_path: Path) -> dict[str, Any]:
        """A folder."""
        return {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": str(tmp_path / "cache")}


# The contract's threads are not flights, so nothing closes their connections; since Python 3.13 sqlite3 warns.
@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")
class TestDatabase(CacheContract):
    """The contract over DatabaseCache, on a SQLite file."""

    lease_rounds = 10

    @pytest.fixture
    def open_cache(self, tmp_path: Path) -> Iterator[Callable[[], TokenCache]]:
        """Opens the same table each time."""
        with database(NAME=str(tmp_path / "cache.sqlite3"), OPTIONS={"timeout": 30}):
            yield partial(opened, TABLE, str(tmp_path))
