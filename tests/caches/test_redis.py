"""RedisTokenCache on a real Valkey: the contract of caches, URLs, clients, and the traps of redis-py."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import redis
import valkey as valkey_py
from real_servers.stores import Store, start_valkey

from m2m_auth import TokenSource
from m2m_auth.caches.opening import from_client, from_url
from m2m_auth.caches.protocol import TokenCache
from m2m_auth.caches.redis import RedisTokenCache
from m2m_auth.errors import CacheUnavailable, ConfigurationError
from m2m_auth.source.token_source import engine_of
from m2m_auth.testing import CacheContract, FakeAuthorizationServer

NARROW = ["+get", "+set", "+del", "+incr", "+pexpire", "+eval"]


@pytest.fixture(scope="module")
def valkey() -> Iterator[Store]:
    """A Valkey server; its second user may use only the commands that the docstring of the cache names."""
    with start_valkey() as store, redis.Redis(port=store.port) as client:
        client.execute_command("ACL", "SETUSER", "narrow", "on", ">p:w/1", "~m2m1.*", *NARROW)
        yield store


@pytest.fixture
def server() -> Iterator[Store]:
    """A Valkey server for one test, to stop or freeze."""
    with start_valkey() as store:
        yield store


@pytest.fixture
def opened() -> Iterator[Callable[..., RedisTokenCache]]:
    """Opens caches that are closed at the end."""
    caches: list[RedisTokenCache] = []

    def open_one(server: Any, **options: Any) -> RedisTokenCache:
        caches.append(RedisTokenCache(server, **options))
        return caches[-1]

    yield open_one
    for cache in caches:
        cache.close()


@pytest.mark.processes
class TestRedisTokenCache(CacheContract):
    """The contract, by URL."""

    lease_rounds = 200

    @pytest.fixture
    def open_cache(self, valkey: Store) -> Callable[[], TokenCache]:
        """Opens the same server, in any process."""
        return partial(RedisTokenCache, f"redis://{valkey.address}/0", timeout=2.0)


@pytest.mark.processes
@pytest.mark.parametrize("scheme", ["redis", "valkey"])
def test_by_url(valkey: Store, scheme: str) -> None:
    """A URL of either name opens the same server; its timeout is an option."""
    cache = from_url(f"{scheme}://{valkey.address}/0?timeout=0.5")
    cache.set(scheme, b"value", 60)
    assert cache.get(scheme) == b"value"
    cache.close()


@pytest.mark.processes
def test_a_database_of_the_url(valkey: Store, opened: Callable[..., RedisTokenCache]) -> None:
    """The URL names the database."""
    opened(f"redis://{valkey.address}/1").set("database", b"one", 60)
    assert opened(f"redis://{valkey.address}/2").get("database") is None


@pytest.mark.processes
def test_a_narrow_acl_user(valkey: Store, opened: Callable[..., RedisTokenCache]) -> None:
    """The commands that the docstring names are enough. A password is percent-decoded, and repr hides it."""
    cache = opened(f"redis://narrow:p%3Aw%2F1@{valkey.address}/0")
    cache.set("m2m1.a", b"value", 60)
    assert cache.get("m2m1.a") == b"value"
    assert cache.add("m2m1.a", b"other", 60) is False
    assert cache.delete_if("m2m1.a", b"value") is True
    assert [cache.increment("m2m1.n", 60), cache.increment("m2m1.n", 60)] == [1, 2]
    cache.delete("m2m1.n")
    assert "p:w" not in repr(cache)
    assert "p%3A" not in repr(cache)


@pytest.mark.processes
def test_a_denied_key_is_an_error(valkey: Store, opened: Callable[..., RedisTokenCache]) -> None:
    """A forbidden key and a wrong password raise CacheUnavailable; the message has no password."""
    with pytest.raises(CacheUnavailable, match="No permissions"):
        opened(f"redis://narrow:p%3Aw%2F1@{valkey.address}/0").get("other")
    with pytest.raises(CacheUnavailable, match="AuthenticationError") as caught:
        opened(f"redis://narrow:canary@{valkey.address}/0").get("m2m1.a")
    assert "canary" not in str(caught.value)


@pytest.mark.processes
@pytest.mark.parametrize("library", [redis, valkey_py], ids=["redis-py", "valkey-py"])
def test_a_client_gives_its_address_only(valkey: Store, opened: Callable[..., RedisTokenCache], library: Any) -> None:
    """A client that decodes replies, retries and waits for ever: the cache returns bytes and keeps its own deadline."""
    client = getattr(library, "Redis", None) or library.Valkey
    with client(port=valkey.port, db=3, username="default", password="any", decode_responses=True) as given:
        cache = opened(given)
        cache.set("by client", b"\xff\x00", 60)
        assert cache.get("by client") == b"\xff\x00"
        assert given.exists("by client") == 1, "it is the client's database"
    assert cache.get("by client") == b"\xff\x00", "the client's own connections are not needed"


@pytest.mark.processes
def test_a_unix_socket(tmp_path: Any, opened: Callable[..., RedisTokenCache]) -> None:
    """A Unix socket works by client and by URL."""
    path = str(tmp_path / "valkey.sock")
    with start_valkey("--unixsocket", path), redis.Redis(unix_socket_path=path) as client:
        opened(client).set("key", b"value", 60)
        assert opened(f"unix://{path}").get("key") == b"value"


@pytest.mark.processes
def test_sources_with_a_client_share(valkey: Store, m2m_authorization_server: FakeAuthorizationServer) -> None:
    """cache= takes a client. Sources with the same client share one token state; with another client, the token."""
    server = m2m_authorization_server
    with redis.Redis(port=valkey.port) as first, redis.Redis(port=valkey.port) as second:
        sources = [
            TokenSource(server.token_endpoint, "client", "secret", scope="shared", cache=client)
            for client in (first, first, second)
        ]
        tokens = {source.token().value for source in sources}
        for source in sources:
            source.close()
    assert (len(tokens), server.mints) == (1, 1)
    assert engine_of(sources[0]).state is engine_of(sources[1]).state
    assert engine_of(sources[0]).state is not engine_of(sources[2]).state


@pytest.mark.processes
def test_fresh_tokens_ask_the_server_nothing(server: Store, m2m_authorization_server: FakeAuthorizationServer) -> None:
    """1,000 calls with a fresh token send the server no command."""
    endpoint = m2m_authorization_server.token_endpoint
    url = f"redis://{server.address}"
    with redis.Redis(port=server.port) as client, TokenSource(endpoint, "client", "secret", cache=url) as source:
        source.token()

        def commands() -> int:
            return int(client.info("stats")["total_commands_processed"])

        before = commands()
        for _ in range(1000):
            source.token()
        assert commands() - before == 1, "the INFO itself"


@pytest.mark.processes
def test_a_frozen_server_costs_one_deadline(server: Store, opened: Callable[..., RedisTokenCache]) -> None:
    """A frozen server costs one timeout per operation, without retries; a stopped server costs none."""
    cache = opened(f"redis://{server.address}", timeout=0.1)
    cache.set("key", b"value", 60)
    server.freeze()
    start = time.monotonic()
    for _ in range(3):
        with pytest.raises(CacheUnavailable, match="Timeout"):
            cache.get("key")
    assert time.monotonic() - start < 3
    server.thaw()
    assert cache.get("key") == b"value", "a late reply is not read as the reply to this command"
    server.stop()
    with pytest.raises(CacheUnavailable, match=r"refused|Connection closed|reset"):
        cache.get("key")
    server.start()
    assert cache.get("key") is None
    assert cache.add("key", b"value", 60) is True


@pytest.mark.processes
def test_a_value_of_another_type_is_a_fault(valkey: Store, opened: Callable[..., RedisTokenCache]) -> None:
    """A list under a key of the cache raises CacheUnavailable."""
    with redis.Redis(port=valkey.port) as client:
        client.lpush("m2m1.list", "value")
    with pytest.raises(CacheUnavailable, match="WRONGTYPE"):
        opened(f"redis://{valkey.address}").get("m2m1.list")


@pytest.mark.parametrize("kind", ["pool", "sentinel", "lock"])
def test_other_objects_are_refused(kind: str) -> None:
    """A pool, a Sentinel or a lock is a ConfigurationError that says what to pass."""
    client = redis.Redis()
    manager: Any = redis.Sentinel([("127.0.0.1", 1)])  # type: ignore[no-untyped-call]
    odd = {"pool": client.connection_pool, "sentinel": manager, "lock": client.lock("name")}[kind]
    with pytest.raises(
        ConfigurationError, match=r"is not a client of Redis. Fix: pass a Redis, .* Sentinel.master_for\(\)"
    ):
        from_client(odd)


@pytest.mark.processes
def test_a_client_for_every_request_is_not_a_connection_for_every_request(
    server: Store, m2m_authorization_server: FakeAuthorizationServer
) -> None:
    """120 sources with a new client each cause one mint and fewer than 80 connections."""
    endpoint = m2m_authorization_server.token_endpoint
    for _ in range(120):
        client = redis.Redis(port=server.port)
        TokenSource(endpoint, "client", "secret", scope="each", cache=client).token()
        client.close()
    assert m2m_authorization_server.mints == 1
    with redis.Redis(port=server.port) as client:
        assert int(client.info("clients")["connected_clients"]) < 80


@pytest.mark.processes
def test_closing_breaks_no_operation(valkey: Store, opened: Callable[..., RedisTokenCache]) -> None:
    """While one thread closes a shared cache again and again, operations of another thread succeed."""
    cache = opened(f"redis://{valkey.address}", timeout=5.0)
    over = threading.Event()

    def close() -> None:
        while not over.is_set():
            cache.close()

    closer = threading.Thread(target=close)
    closer.start()
    try:
        for number in range(60):
            cache.set("closing", b"%d" % number, 60)
            assert cache.get("closing") == b"%d" % number
    finally:
        over.set()
        closer.join()


@pytest.mark.processes
def test_thousands_of_threads_do_not_open_thousands_of_connections(
    valkey: Store, opened: Callable[..., RedisTokenCache]
) -> None:
    """200 threads at once use at most 64 connections, and every operation succeeds."""
    from m2m_auth.testing.contract_races import by_threads

    cache = opened(f"redis://{valkey.address}", timeout=5.0)
    assert by_threads(200, lambda: cache.increment("threads", 60), cache)
    assert cache.get("threads") == b"200"
    with redis.Redis(port=valkey.port) as client:
        assert int(client.info("clients")["connected_clients"]) < 80


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://user:canary@host:port", ["cache='redis://***@host:port'", "its port is not a number"]),
        ("redis://:canary/1@host", ["its port is not a number. Fix: in a password, write / ? # @ as %2F"]),
        ("user:canary@host:6379", ["cache='user:***@host:6379'", "no cache has this URL scheme"]),
        ("redis://h?tiemout=3", ["unexpected keyword argument 'tiemout'", "Fix: use redis-py's options"]),
        ("redis://user:canary@host?socket_timeout=never", ["socket_timeout"]),
        ("redis://user:canary@host?timeout=soon", ["timeout is not a number of seconds"]),
        ("redis://user:canary@host?timeout=-1", ["timeout=-1.0 must be a number of seconds above 0"]),
        ("reddis://user:canary@host", ["cache='reddis://***@host'", "no cache has this URL scheme", "redis"]),
    ],
)
def test_a_wrong_url_is_explained(url: str, words: list[str]) -> None:
    """The message says what, where and the fix, and has no password."""
    with pytest.raises(ConfigurationError) as caught:
        from_url(url)
    assert [word for word in words if word not in str(caught.value)] == []
    assert "canary" not in str(caught.value)
