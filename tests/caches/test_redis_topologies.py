"""RedisTokenCache by TLS, by Sentinel and by Cluster, each on real servers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import trustme
from real_servers.stores import Store, start_cluster, start_redis, start_sentinel, start_valkey

from m2m_auth.caches.redis import RedisTokenCache
from m2m_auth.errors import CacheUnavailable

pytestmark = pytest.mark.processes


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[Store, str]]:
    """A Redis server with TLS only, and the file of its authority's certificate."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    names = {name: str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key")}
    authority.cert_pem.write_to_path(names["ca"])
    certificate.cert_chain_pems[0].write_to_path(names["cert"])
    certificate.private_key_pem.write_to_path(names["key"])
    files = ("--tls-cert-file", names["cert"], "--tls-key-file", names["key"], "--tls-ca-cert-file", names["ca"])
    options = ("--tls-port", "{port}", "--port", "0", "--tls-auth-clients", "no", *files)
    with start_redis(*options) as store:
        yield store, names["ca"]


def test_tls(tls: tuple[Store, str]) -> None:
    """TLS by URL and by client; the server's certificate and name are checked."""
    store, authority = tls
    cache = RedisTokenCache(f"rediss://127.0.0.1:{store.port}/0?ssl_ca_certs={authority}", timeout=2.0)
    cache.set("key", b"value", 60)
    with redis.Redis(host="127.0.0.1", port=store.port, ssl=True, ssl_ca_certs=authority) as client:
        by_client = RedisTokenCache(client, timeout=2.0)
    assert by_client.get("key") == b"value"
    stranger = RedisTokenCache(f"rediss://127.0.0.1:{store.port}/0", timeout=2.0)
    with pytest.raises(CacheUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        stranger.get("key")
    plain = RedisTokenCache(f"redis://127.0.0.1:{store.port}/0", timeout=2.0)
    with pytest.raises(CacheUnavailable):
        plain.get("key")
    for each in (cache, by_client, stranger, plain):
        each.close()


@pytest.mark.slow
def test_sentinel_follows_the_primary() -> None:
    """After a fail-over the same cache writes to the new primary; a client for replicas also leads to the primary."""
    with contextlib.ExitStack() as stack:
        primary = stack.enter_context(start_valkey())
        replica = stack.enter_context(start_valkey("--replicaof", f"127.0.0.1 {primary.port}"))
        sentinel = stack.enter_context(start_sentinel(primary, "tokens"))
        manager: Any = redis.Sentinel([("127.0.0.1", sentinel.port)])  # type: ignore[no-untyped-call]
        for each in manager.sentinels:
            stack.callback(each.close)
        cache = RedisTokenCache(manager.slave_for("tokens"))
        stack.callback(cache.close)
        eventually(lambda: cache.add("before", b"value", 600))
        eventually(lambda: stored(replica, "before"))
        eventually(lambda: manager.discover_slaves("tokens"))
        primary.stop()
        eventually(lambda: cache.add("after", b"value", 600))
        assert stored(replica, "after")
        assert cache.get("before") == b"value"
        assert "tokens by the sentinels 127.0.0.1" in repr(cache)


@pytest.mark.slow
def test_cluster_finds_each_keys_node() -> None:
    """Keys on all nodes work, scripts too. Without a node its keys raise CacheUnavailable, and the others work."""
    nodes = start_cluster(3)
    try:
        client: Any = redis.RedisCluster("127.0.0.1", nodes[0].port)
        cache = RedisTokenCache(client, timeout=2.0)
        client.close()
        for key in "abcdefgh":
            assert cache.add(key, b"owner", 60) is True
            assert cache.add(key, b"other", 60) is False
            assert cache.delete_if(key, b"owner") is True
            assert [cache.increment(key, 60), cache.increment(key, 60)] == [1, 2]
            assert cache.get(key) == b"2"
        nodes[2].stop()
        outcomes = {works(cache, key) for key in "abcdefgh"}
        assert outcomes == {True, False}
        cache.close()
    finally:
        for node in nodes:
            node.__exit__(None, None, None)


def works(cache: RedisTokenCache, key: str) -> bool:
    """Whether a key can be read."""
    try:
        return cache.get(key) is not None
    except CacheUnavailable:
        return False


def stored(store: Store, key: str) -> bool:
    """Whether the server itself has a key."""
    with redis.Redis(port=store.port) as client:
        return bool(client.exists(key))


def eventually(condition: Any, timeout: float = 30.0) -> None:
    """Waits until the condition holds; CacheUnavailable counts as false."""
    until = time.monotonic() + timeout
    while True:
        with contextlib.suppress(CacheUnavailable, redis.RedisError):
            if condition():
                return
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.05)
