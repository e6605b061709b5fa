"""Each trap of Django's cache backends: pickles, replicas, swallowed failures, leaked connections, no real lease."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pymemcache
import pytest
import redis
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.db import connection
from django.test import Client, override_settings
from django_m2m_auth import m2m
from django_m2m_auth.cache import DjangoTokenCache
from django_support import database, times_open
from real_servers.stores import start_memcached, start_valkey

from m2m_auth.errors import CacheUnavailable, ConfigurationError
from m2m_auth.source.registry import forget_everything
from m2m_auth.testing import FakeAuthorizationServer

REDIS = "django.core.cache.backends.redis.RedisCache"
PYMEMCACHE = "django.core.cache.backends.memcached.PyMemcacheCache"
planted: list[str] = []


class Planted:
    """Unpickling it runs code."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return planted.append, ("ran",)


class UnknownBackend(BaseCache):
    """A backend that the package does not know."""


@pytest.fixture(scope="module")
def valkey_port() -> Iterator[int]:
    """A real Valkey server."""
    with start_valkey() as store:
        yield store.port


def on_redis(port: int, **more: Any) -> Any:
    """CACHES with one alias on this server."""
    return override_settings(CACHES={"default": {"BACKEND": REDIS, "LOCATION": f"redis://127.0.0.1:{port}", **more}})


def test_redis_is_given_text_and_runs_no_pickle(valkey_port: int) -> None:
    """A value is stored as text under the project's prefix and version; a pickle planted there is a miss."""
    with on_redis(valkey_port, KEY_PREFIX="shop", VERSION=7), redis.Redis(port=valkey_port) as raw:
        cache = DjangoTokenCache()
        cache.set("text", b"value", 60)
        assert raw.get("shop:7:text") == b"m2m1:dmFsdWU="
        assert caches["default"].make_key("text") == "shop:7:text"
        raw.set("shop:7:planted", pickle.dumps(Planted()))
        assert cache.get("planted") is None
        assert planted == []
        cache.close()


def test_memcached_is_given_text_and_runs_no_pickle() -> None:
    """The same for PyMemcacheCache, whose own serializer unpickles where the stored flag says so."""
    with start_memcached() as store, closing(pymemcache.Client(("127.0.0.1", store.port))) as raw:
        caches = {"default": {"BACKEND": PYMEMCACHE, "LOCATION": store.address}}
        with override_settings(CACHES=caches), closing(DjangoTokenCache()) as cache:
            cache.set("text", b"value", 60)
            assert raw.get(":1:text") == b"m2m1:dmFsdWU="
            raw.set(":1:planted", pickle.dumps(Planted()), flags=1)
            assert cache.get("planted") is None
            assert planted == []


def test_redis_replicas_are_not_read(valkey_port: int) -> None:
    """Reads go to the first of several servers: a replica may lag behind or, as in this test, not exist."""
    with override_settings(
        CACHES={"default": {"BACKEND": REDIS, "LOCATION": [f"redis://127.0.0.1:{valkey_port}", "redis://127.0.0.1:1"]}}
    ):
        cache = DjangoTokenCache()
        cache.set("primary", b"value", 60)
        assert [cache.get("primary") for _ in range(5)] == [b"value"] * 5
        cache.close()


def test_an_unreachable_server_is_a_cache_fault() -> None:
    """The engine gets a CacheUnavailable instead of redis-py's error, without an address in the message."""
    with on_redis(1):
        with pytest.raises(CacheUnavailable) as caught:
            DjangoTokenCache().get("key")
        assert str(caught.value) == "DjangoTokenCache('default'): ConnectionError"


def test_a_thread_closes_its_connection_to_redis(valkey_port: int) -> None:
    """release_thread closes the connections of this thread only."""
    with on_redis(valkey_port), redis.Redis(port=valkey_port) as raw:
        cache = DjangoTokenCache()
        before = len(raw.client_list())
        cache.set("own", b"value", 60)
        other = threading.Thread(target=lambda: (cache.get("own"), cache.release_thread()))
        other.start()
        other.join()
        assert len(raw.client_list()) == before + 1
        cache.release_thread()
        raw.ping()
        assert len(raw.client_list()) == before


def test_useless_and_unknown_caches_are_refused() -> None:
    """The dummy cache, an unknown alias and a backend that cannot be imported are refused by name."""
    dummy = {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}
    with override_settings(CACHES={"default": dummy, "gone": {"BACKEND": "no.such.Cache"}}):
        with pytest.raises(ConfigurationError, match="dummy cache, which stores nothing"):
            DjangoTokenCache()
        with pytest.raises(ConfigurationError, match=r"no 'other'\. Known: default, gone"):
            DjangoTokenCache("other")
        with pytest.raises(ConfigurationError, match=r"'no\.such\.Cache' cannot be imported"):
            DjangoTokenCache("gone")


@pytest.mark.parametrize(
    "backend",
    ["django.core.cache.backends.filebased.FileBasedCache", f"{UnknownBackend.__module__}.{UnknownBackend.__name__}"],
)
def test_no_lease_where_add_is_not_known_to_be_atomic(backend: str, tmp_path: Path) -> None:
    """Two processes win the file-based add() (100 of 100 races); an unknown backend is not trusted: no lease."""
    with override_settings(CACHES={"default": {"BACKEND": backend, "LOCATION": str(tmp_path)}}):
        can = DjangoTokenCache().capabilities
        assert (can.shared, can.atomic_add, can.atomic_increment, can.compare_delete) == (True, False, False, False)


def test_the_database_cache_reports_a_failure(tmp_path: Path) -> None:
    """Django hides an INSERT that fails. It must raise, and not look like a lease that another process holds."""
    with database(NAME=str(tmp_path / "db.sqlite3")):
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE TRIGGER full BEFORE INSERT ON service_tokens BEGIN SELECT RAISE(ABORT, 'disk full'); END"
            )
        assert caches["default"].add("django", "value") is False
        cache = DjangoTokenCache()
        with pytest.raises(CacheUnavailable, match="did not store the value"):
            cache.add("lease", b"owner", 60)
        with pytest.raises(CacheUnavailable, match="did not store the value"):
            cache.set("token", b"value", 60)
        cache.close()


def test_a_flight_leaves_no_connection_to_the_database(
    tmp_path: Path, client_options: dict[str, Any], server: FakeAuthorizationServer
) -> None:
    """A flight over the database cache works on its own connection, and closes it; the request's stays open."""
    path = tmp_path / "db.sqlite3"
    setting = {"CLIENTS": {"billing": client_options}, "CACHES": {"default": {"DJANGO_CACHE": "default"}}}
    with database(NAME=str(path)), override_settings(M2M_AUTH=setting):
        connection.ensure_connection()
        m2m["billing"].source.token()
        assert server.mints == 1
        assert times_open(path) == 1
        assert m2m["billing"].source.status().ledger.mints.month == 1
        assert connection.connection is not None


def test_a_token_survives_the_rollback_of_its_request(
    tmp_path: Path, client_options: dict[str, Any], server: FakeAuthorizationServer
) -> None:
    """With ATOMIC_REQUESTS a failing view rolls back its own cache entry, and not the token: no second mint."""
    setting = {"CLIENTS": {"billing": client_options}, "CACHES": {"default": {"DJANGO_CACHE": "default"}}}
    with database(NAME=str(tmp_path / "db.sqlite3"), ATOMIC_REQUESTS=True), override_settings(M2M_AUTH=setting):
        with pytest.raises(RuntimeError, match="roll back"):
            Client().get("/failing")
        assert caches["default"].get("entry") is None
        forget_everything()
        m2m.reset()
        m2m["billing"].source.token()
        assert server.mints == 1


def test_two_mint_once_although_a_lease_cannot_be_released(
    valkey_port: int, client_options: dict[str, Any], server: FakeAuthorizationServer
) -> None:
    """The state of two processes on one Redis: one mint, and a renewal does not wait for the first lease."""
    setting = {"CLIENTS": {"billing": client_options}, "CACHES": {"default": {"DJANGO_CACHE": "default"}}}
    with on_redis(valkey_port, KEY_PREFIX=server.base_url), override_settings(M2M_AUTH=setting):
        first = m2m["billing"].source.token()
        forget_everything()
        m2m.reset()
        assert m2m["billing"].source.token() == first
        assert m2m["billing"].source.renew() != first
        assert server.mints == 2
