"""memcached over TLS: Debian's memcached speaks it, and the cache passes the contract there too."""

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

from m2m_auth.caches.memcached import MemcachedTokenCache
from m2m_auth.caches.protocol import TokenCache
from m2m_auth.errors import CacheUnavailable
from m2m_auth.testing import CacheContract


def open_over_tls(port: int, authority: Path) -> MemcachedTokenCache:
    """A cache that trusts this authority; a function, since a context cannot be sent to another process."""
    context = ssl.create_default_context(cafile=str(authority))
    return MemcachedTokenCache(("localhost", port), timeout=20, tls_context=context)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority's certificate, and a server's that it has signed."""
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
    """A memcached that speaks nothing but TLS."""
    folder = authority.parent
    files = f"ssl_chain_cert={folder / 'chain.pem'},ssl_key={folder / 'key.pem'}"
    plain = ("-l", "127.0.0.1", "-p", "{port}", "-U", "0", "-u", "root")
    with Store(_needed("memcached"), *plain, "-Z", "-o", files) as running:
        yield running


@pytest.fixture
def context(authority: Path) -> ssl.SSLContext:
    """One that trusts the authority."""
    return ssl.create_default_context(cafile=str(authority))


class TestOverTls(CacheContract):
    """The contract over TLS, races between processes included."""

    @pytest.fixture
    def open_cache(self, store: Store, authority: Path) -> Callable[[], TokenCache]:
        """Opens the same server each time, in any process."""
        return partial(open_over_tls, store.port, authority)


def test_the_connection_is_reused(store: Store, authority: Path) -> None:
    """What TLS sends by itself, its session tickets, does not make a connection look used up."""

    def connections() -> int:
        return cache._servers[0].do(lambda memcached: int(memcached.stats()[b"total_connections"]))

    with closing(open_over_tls(store.port, authority)) as cache:
        before = connections()
        for _ in range(5):
            cache.set("key", b"value", 60)
            assert cache.get("key") == b"value"
        assert connections() == before


def test_a_native_client_brings_its_context(store: Store, context: ssl.SSLContext) -> None:
    """What its owner trusts is what we trust."""
    client = Client(("localhost", store.port), tls_context=context)
    with closing(MemcachedTokenCache.from_client(client, timeout=20)) as cache:
        cache.set("native", b"value", 60)
        assert cache.get("native") == b"value"


def test_a_server_that_is_not_trusted(store: Store) -> None:
    """Nothing is sent to a server whose certificate is signed by somebody else."""
    context = ssl.create_default_context()
    with (
        closing(MemcachedTokenCache(store.address, timeout=20, tls_context=context)) as cache,
        pytest.raises(CacheUnavailable, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        cache.get("key")


def test_a_server_that_says_nothing(context: ssl.SSLContext) -> None:
    """One that stays silent during the handshake costs no more than the deadline."""
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


def test_without_tls(store: Store) -> None:
    """A cache that does not speak TLS to a server that does gets a fault, in time."""
    with closing(MemcachedTokenCache(store.address, timeout=0.2)) as cache:

        def ask() -> None:
            with pytest.raises(CacheUnavailable):
                cache.get("key")

        assert seconds_of(ask) < 5
