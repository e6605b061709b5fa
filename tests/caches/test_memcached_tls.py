"""memcached over TLS, on Debian's memcached: the contract of caches, and what can go wrong with TLS."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import trustme
from memcached_steps import misbehaving, seconds_of
from pymemcache.client.base import Client
from real_servers.stores import Store, _needed
from store_variants import StoreVariant

from m2m_auth.caches.memcached import MemcachedTokenCache
from m2m_auth.caches.protocol import TokenCache
from m2m_auth.errors import CacheUnavailable


def open_over_tls(port: int, authority: Path) -> MemcachedTokenCache:
    """A cache that trusts this authority."""
    context = ssl.create_default_context(cafile=str(authority))
    return MemcachedTokenCache(("localhost", port), timeout=20, tls_context=context)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an authority's certificate; beside it are the files of a server that it signed."""
    folder = tmp_path_factory.mktemp("tls")
    signer = trustme.CA()
    signer.cert_pem.write_to_path(str(folder / "authority.pem"))
    issued = signer.issue_cert("localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(folder / "chain.pem"), append=True)
    return folder / "authority.pem"


@pytest.fixture(scope="module")
def store(authority: Path) -> Iterator[Store]:
    """A memcached with TLS only."""
    folder = authority.parent
    files = f"ssl_chain_cert={folder / 'chain.pem'},ssl_key={folder / 'key.pem'}"
    plain = ("-l", "127.0.0.1", "-p", "{port}", "-U", "0", "-u", "root")
    with Store(_needed("memcached"), *plain, "-Z", "-o", files) as running:
        yield running


@pytest.fixture
def context(authority: Path) -> ssl.SSLContext:
    """A context that trusts the authority."""
    return ssl.create_default_context(cafile=str(authority))


@pytest.mark.processes
class TestOverTls(StoreVariant):
    """Every operation over TLS."""

    @pytest.fixture
    def open_cache(self, store: Store, authority: Path) -> Callable[[], TokenCache]:
        """Opens the same server each time, in any process."""
        return partial(open_over_tls, store.port, authority)


@pytest.mark.processes
def test_the_connection_is_reused(store: Store, authority: Path) -> None:
    """Session tickets, which TLS sends without a request, do not end a connection's reuse."""

    def connections() -> int:
        return cache._servers[0].do(lambda memcached: int(memcached.stats()[b"total_connections"]))

    with closing(open_over_tls(store.port, authority)) as cache:
        before = connections()
        for _ in range(5):
            cache.set("key", b"value", 60)
            assert cache.get("key") == b"value"
        assert connections() == before


@pytest.mark.processes
def test_a_native_client_brings_its_context(store: Store, context: ssl.SSLContext) -> None:
    """A pymemcache client's TLS context is used."""
    client = Client(("localhost", store.port), tls_context=context)
    with closing(MemcachedTokenCache.from_client(client, timeout=20)) as cache:
        cache.set("native", b"value", 60)
        assert cache.get("native") == b"value"


@pytest.mark.processes
def test_a_server_that_is_not_trusted(store: Store) -> None:
    """The cache refuses a server whose certificate an unknown authority signed."""
    context = ssl.create_default_context()
    with (
        closing(MemcachedTokenCache(store.address, timeout=20, tls_context=context)) as cache,
        pytest.raises(CacheUnavailable, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        cache.get("key")


@pytest.mark.loopback
def test_a_server_that_says_nothing(context: ssl.SSLContext) -> None:
    """A server that is silent during the handshake costs at most the deadline."""
    over = threading.Event()

    def silent(_: object) -> None:
        over.wait(20)

    with (
        misbehaving(silent) as port,
        closing(MemcachedTokenCache(("127.0.0.1", port), timeout=0.2, tls_context=context)) as cache,
    ):

        def ask() -> None:
            with pytest.raises(CacheUnavailable, match="timed out"):
                cache.get("key")

        took = seconds_of(ask)
        over.set()
    assert took < 5


@pytest.mark.processes
def test_without_tls(store: Store) -> None:
    """A cache without TLS at a server with TLS raises CacheUnavailable within the deadline."""
    with closing(MemcachedTokenCache(store.address, timeout=0.2)) as cache:

        def ask() -> None:
            with pytest.raises(CacheUnavailable):
                cache.get("key")

        assert seconds_of(ask) < 5
