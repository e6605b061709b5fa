"""Known traps of cachelib: pickles, leases, caches that store nothing, hidden failures."""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import struct
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cachelib
import pymemcache
import pytest
import redis
from real_servers.stores import free_port, start_valkey

from m2m_auth import TokenSource
from m2m_auth.caches.cachelib import CachelibTokenCache
from m2m_auth.caches.opening import from_client
from m2m_auth.caches.redis import RedisTokenCache
from m2m_auth.errors import CacheUnavailable, ConfigurationError
from m2m_auth.testing import FakeAuthorizationServer


class Canary:
    """Unpickling it creates a folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._path),)


class Broken(cachelib.SimpleCache):
    """A cache whose every operation fails, with a password in the message."""

    def get(self, *arguments: Any) -> Any:
        """Fails."""
        raise OSError("redis://user:hunter2@host")

    set = add = delete = get  # type: ignore[assignment]


def plant(folder: Path, key: str, payload: bytes) -> None:
    """Writes a file in FileSystemCache's format, with a time to live of an hour."""
    (folder / hashlib.sha256(key.encode()).hexdigest()).write_bytes(struct.pack("I", int(time.time()) + 3600) + payload)


@pytest.fixture
def users_cache(tmp_path: Path) -> cachelib.FileSystemCache:
    """The user's cache."""
    return cachelib.FileSystemCache(str(tmp_path / "cache"), hash_method=hashlib.sha256)


def test_cachelib_itself_runs_a_planted_pickle(users_cache: cachelib.FileSystemCache, tmp_path: Path) -> None:
    """With cachelib itself the payload runs, so the next test can fail."""
    plant(tmp_path / "cache", "key", pickle.dumps(Canary(tmp_path / "canary")))
    users_cache.get("key")
    assert (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    "prefix", [b"", b"!", b"m2m1:", b"m2m1#"], ids=["bare", "as Redis", "as a value", "as a count"]
)
def test_a_planted_pickle_is_a_miss(users_cache: cachelib.FileSystemCache, tmp_path: Path, prefix: bytes) -> None:
    """No operation runs the payload; each treats it as a missing entry."""
    cache = CachelibTokenCache(users_cache)
    plant(tmp_path / "cache", "key", prefix + pickle.dumps(Canary(tmp_path / "canary")))
    assert cache.get("key") is None
    assert cache.increment("key", 60) == 1
    plant(tmp_path / "cache", "key", prefix + pickle.dumps(Canary(tmp_path / "canary")))
    assert cache.delete_if("key", b"value") is False
    cache.set("key", b"value", 60)
    assert cache.get("key") == b"value"
    cache.delete("key")
    assert not (tmp_path / "canary").exists()


def test_the_count_of_files_is_not_unpickled(users_cache: cachelib.FileSystemCache, tmp_path: Path) -> None:
    """The cache does not read FileSystemCache's count, a pickle that FileSystemCache reads at each set."""
    cache = CachelibTokenCache(users_cache)
    plant(tmp_path / "cache", "__wz_cache_count", pickle.dumps(Canary(tmp_path / "canary")))
    cache.set("key", b"value", 60)
    cache.delete("key")
    assert not (tmp_path / "canary").exists()


def test_planted_bytes_in_memory_are_a_miss(tmp_path: Path) -> None:
    """A foreign pickle in a SimpleCache, under a key of m2m-auth, does not run."""
    simple = cachelib.SimpleCache()
    cache = CachelibTokenCache(simple)
    simple.set("key", Canary(tmp_path / "canary"))
    assert cache.get("key") is None
    assert not (tmp_path / "canary").exists()


def test_the_users_object_stays_as_it_is(users_cache: cachelib.FileSystemCache) -> None:
    """The user's values, serializer and count stay the same."""
    before = dict(vars(users_cache))
    users_cache.set("app", {"some": "thing"})
    count = users_cache._file_count
    cache = CachelibTokenCache(users_cache)
    cache.set("m2m1.t.key", b"value", 60)
    assert vars(users_cache) == before
    assert users_cache.get("app") == {"some": "thing"}
    assert users_cache._file_count == count
    assert cache.get("app") is None
    assert users_cache.clear()
    assert cache.get("m2m1.t.key") is None


@pytest.mark.parametrize("kind", [cachelib.NullCache, type("FlaskNullCache", (cachelib.BaseCache,), {})])
def test_a_cache_that_stores_nothing_is_refused(kind: type[cachelib.BaseCache]) -> None:
    """A NullCache is refused, cachelib's and Flask-Caching's: its add is always True."""
    for refuses in (
        from_client,
        CachelibTokenCache,
        lambda cache: TokenSource("https://as.example", "c", "s", cache=cache),
    ):
        with pytest.raises(ConfigurationError, match=rf"cache={kind.__name__}\(…\) stores nothing.*Fix: cache=None"):
            refuses(kind())


def test_what_is_no_cache_is_refused() -> None:
    """Other objects of cachelib are refused, such as its serializers."""
    with pytest.raises(ConfigurationError, match=r"not a cachelib cache\. Fix: "):
        from_client(cachelib.simple.SimpleSerializer())


@pytest.mark.processes
def test_redis_bypasses_cachelib() -> None:
    """A RedisCache becomes a RedisTokenCache, whose add is one command, with any prefix and client."""
    with start_valkey() as store, redis.Redis(port=store.port) as client:
        users_cache = cachelib.RedisCache(client, key_prefix="app.")
        cache = from_client(users_cache)
        assert isinstance(cache, RedisTokenCache)
        assert cache.add("m2m1.l.key", b"owner", 15) is True
        assert 0 < client.pttl("m2m1.l.key") <= 15_000
        cache.close()
    with pytest.raises(ConfigurationError, match=r"Fix: pass cache=<the RedisCache>"):
        CachelibTokenCache(users_cache)


def test_a_memcached_client_that_unpickles_is_refused() -> None:
    """Clients that unpickle (pylibmc, python-memcached, libmc) are refused; the message has a URL to use instead."""

    class Client:
        """A client like these."""

    with pytest.raises(
        ConfigurationError, match=r"MemcachedCache\(…\).*Client.*unpickles.*Fix: .*memcached://host:port"
    ):
        from_client(cachelib.MemcachedCache(Client()))


@pytest.mark.loopback
def test_a_memcached_client_that_hides_faults_is_refused() -> None:
    """The error of MemcachedTokenCache about ignore_exc is raised for cachelib's cache as well."""
    client = pymemcache.Client(("127.0.0.1", free_port()), ignore_exc=True)
    with pytest.raises(ConfigurationError, match="ignore_exc"):
        from_client(cachelib.MemcachedCache(client))


def test_several_on_one_simple_cache_have_one_lease() -> None:
    """16 threads with 16 token caches over one SimpleCache: one winner per round, and no lost count."""
    simple = cachelib.SimpleCache()
    caches = [CachelibTokenCache(simple) for _ in range(16)]
    barrier = threading.Barrier(16)

    def race(cache: CachelibTokenCache) -> tuple[list[bool], list[int]]:
        won, counts = [], []
        for turn in range(20):
            barrier.wait(30)
            won.append(cache.add(f"lease{turn}", b"owner", 60))
            counts.append(cache.increment("count", 60))
        return won, counts

    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(16) as pool:
            results = list(pool.map(race, caches))
    finally:
        sys.setswitchinterval(usual)
    assert [sum(wins) for wins in zip(*(won for won, _ in results), strict=True)] == [1] * 20
    assert sorted(count for _, counts in results for count in counts) == list(range(1, 321))


@pytest.mark.parametrize("ttl", [0.0, 0.001, 1, 1.5, 15.0])
def test_no_entry_is_for_ever_or_too_short(ttl: float) -> None:
    """Times to live are whole seconds, never 0 (which has no end), and never too short."""
    simple = cachelib.SimpleCache()
    before = time.time()
    CachelibTokenCache(simple).set("key", b"value", ttl)
    ((until, _),) = simple._cache.values()
    assert before + ttl <= until <= time.time() + ttl + 2


def test_a_counter_keeps_its_time_to_live() -> None:
    """A later increment keeps the counter's time to live."""
    simple = cachelib.SimpleCache()
    cache = CachelibTokenCache(simple)
    cache.increment("count", 3600)
    ((first, _),) = simple._cache.values()
    assert cache.increment("count", 60) == 2
    ((second, _),) = simple._cache.values()
    assert abs(second - first) <= 1
    assert cache.get("count") == b"2"


def test_faults_hide_their_messages() -> None:
    """Every operation raises CacheUnavailable with the cache's name and the error's type, without a secret."""
    cache = CachelibTokenCache(Broken())
    operations: list[Any] = [
        lambda: cache.get("key"),
        lambda: cache.set("key", b"value", 60),
        lambda: cache.delete("key"),
        lambda: cache.add("key", b"value", 60),
        lambda: cache.delete_if("key", b"value"),
        lambda: cache.increment("key", 60),
    ]
    for operation in operations:
        with pytest.raises(CacheUnavailable, match=r"^CachelibTokenCache\(Broken\): OSError$") as caught:
            operation()
        assert caught.value.__context__ is None


def test_swallowed_failures_are_raised(users_cache: cachelib.FileSystemCache, tmp_path: Path) -> None:
    """False from FileSystemCache, for a full or missing folder, becomes CacheUnavailable."""
    cache = CachelibTokenCache(users_cache)
    os.rename(tmp_path / "cache", tmp_path / "elsewhere")
    logging.getLogger().addFilter(quiet := lambda record: False)
    try:
        with pytest.raises(CacheUnavailable, match="did not store"):
            cache.set("key", b"value", 60)
    finally:
        logging.getLogger().removeFilter(quiet)


@pytest.mark.loopback
def test_sources_share_through_a_folder(tmp_path: Path) -> None:
    """cache= takes the cachelib object. A second source gets the token of the first, which is sealed on disk."""
    with FakeAuthorizationServer() as server:
        tokens = [
            TokenSource(
                server.token_endpoint, "client", "secret", cache=cachelib.FileSystemCache(str(tmp_path / "cache"))
            ).token()
            for _ in range(2)
        ]
        assert tokens[0] == tokens[1]
        assert server.mints == 1
    written = b"".join(path.read_bytes() for path in (tmp_path / "cache").iterdir())
    assert tokens[0].value.encode() not in written
