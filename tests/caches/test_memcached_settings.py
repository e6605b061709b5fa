"""Settings of the memcached cache: URLs, addresses, clients; and what is refused, with the fix."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import pytest
from disk_steps import run_python
from pymemcache.client.base import Client, PooledClient
from pymemcache.client.hash import HashClient
from pymemcache.client.retrying import RetryingClient

from m2m_auth.caches.memcached import MemcachedTokenCache
from m2m_auth.caches.opening import from_client, from_url
from m2m_auth.errors import ConfigurationError


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        ("memcached://cache", "['cache:11211']"),
        ("memcached://cache:11311", "['cache:11311']"),
        ("MEMCACHED://Cache/", "['cache:11211']"),
        ("memcached://a:11211,b:11212,c", "['a:11211', 'b:11212', 'c:11211']"),
        ("memcached://[::1]:11212,[2001:DB8::1]", "['[::1]:11212', '[2001:db8::1]:11211']"),
        ("memcached://10.0.0.1?timeout=0.25&key_prefix=app:", "['10.0.0.1:11211']"),
    ],
)
def test_urls(url: str, servers: str) -> None:
    """The servers and options of a URL."""
    assert repr(from_url(url)) == f"MemcachedTokenCache({servers})"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("memcached:", "memcached://host:port"),
        ("memcached://", "memcached://host:port"),
        ("memcached:cache:11211", "memcached://host:port"),
        ("memcached:///var/run/memcached.sock", "memcached://host:port"),
        ("memcached://cache/0", "memcached://host:port"),
        ("memcached://cache#1", "memcached://host:port"),
        ("memcached://[::1", "not a URL"),
        ("memcached://::1:11211", "'[IPv6 address]:port'"),
        ("memcached://cache:port", "'host:port'"),
        ("memcached://cache:0", "'host:port'"),
        ("memcached://cache:65536", "'host:port'"),
        ("memcached://a,,b", "'host:port'"),
        ("memcached://cache?timout=1", "did you mean 'timeout'"),
        ("memcached://cache?db=1", "unknown option 'db'. Known: timeout, key_prefix"),
        ("memcached://cache?timeout", "Fix: "),
        ("memcached://cache?timeout=fast", "timeout is not a number"),
        ("memcached://cache?timeout=0", "timeout=0.0"),
        ("memcached://cache?timeout=nan", "timeout=nan"),
        ("memcached://cache?timeout=inf", "timeout=inf"),
        ("memcached://cache?key_prefix=a%20b", "without blanks"),
    ],
)
def test_urls_that_are_refused(url: str, words: str) -> None:
    """The message says what is wrong, before any connection."""
    with pytest.raises(ConfigurationError) as caught:
        from_url(url)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "memcached://user:hunter2@cache:11211",
        "memcached://user:hunter2@a,user:hunter2@b:x",
        "memcached:user:hunter2@cache",
        "memcached://user:hunter2@[::1",
        "memcached://user:hunter2@cache?timout=1",
    ],
)
def test_a_login_is_refused_and_not_shown(url: str) -> None:
    """A user in a URL is refused; the message does not repeat the password."""
    with pytest.raises(ConfigurationError) as caught:
        from_url(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("servers", "shown"),
    [
        ("a", "['a:11211']"),
        ("a:1,b:2", "['a:1', 'b:2']"),
        (("a", 1), "['a:1']"),
        (("::1", 1), "['[::1]:1']"),
        (["a:1", ("b", 2)], "['a:1', 'b:2']"),
        (("a:1", "b:2"), "['a:1', 'b:2']"),
    ],
)
def test_addresses(servers: Any, shown: str) -> None:
    """A string, a tuple, or several of either."""
    assert repr(MemcachedTokenCache(servers)) == f"MemcachedTokenCache({shown})"


@pytest.mark.parametrize(
    "servers", [[], "", [None], ("a", 1, 2), [("a",)], ("a", 70000), "/run/memcached.sock", "u:hunter2@a"]
)
def test_addresses_that_are_refused(servers: Any) -> None:
    """The constructor refuses wrong addresses, with the fix and without the password."""
    with pytest.raises(ConfigurationError, match="Fix: ") as caught:
        MemcachedTokenCache(servers)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan"), float("inf")])
def test_a_timeout_is_above_zero(timeout: float) -> None:
    """A timeout that is not a number above 0 is refused."""
    with pytest.raises(ConfigurationError, match="timeout="):
        MemcachedTokenCache("cache", timeout=timeout)


@pytest.mark.parametrize("prefix", ["x" * 187, "a b", "a\r\n", "ä"])
def test_a_prefix_leaves_room_for_the_key(prefix: str) -> None:
    """A prefix is refused if it makes the longest key too long for memcached."""
    with pytest.raises(ConfigurationError, match="186 printable"):
        MemcachedTokenCache("cache", key_prefix=prefix)
    MemcachedTokenCache("cache", key_prefix="x" * 186)


@pytest.mark.parametrize(
    ("client", "servers"),
    [
        (lambda: Client("a:1"), "['a:1']"),
        (lambda: PooledClient(("a", 1)), "['a:1']"),
        (lambda: PooledClient(("::1", 1)), "['[::1]:1']"),
        (lambda: HashClient(["a:1", ("b", 2)]), "['a:1', 'b:2']"),
        (lambda: RetryingClient(HashClient(["a:1", "b"]), attempts=3), "['a:1', 'b:11211']"),
    ],
    ids=["Client", "PooledClient", "IPv6", "HashClient", "RetryingClient"],
)
def test_native_clients(client: Callable[[], object], servers: str) -> None:
    """The addresses of the client are used."""
    assert repr(from_client(client())) == f"MemcachedTokenCache({servers})"


@pytest.mark.parametrize(
    "client",
    [
        lambda: Client("a:1", ignore_exc=True),
        lambda: PooledClient("a:1", ignore_exc=True),
        lambda: HashClient(["a:1"], ignore_exc=True),
        lambda: RetryingClient(Client("a:1", ignore_exc=True)),
    ],
    ids=["Client", "PooledClient", "HashClient", "RetryingClient"],
)
def test_a_client_that_hides_faults_is_refused(client: Callable[[], object]) -> None:
    """ignore_exc=True is refused: it makes a dead server look empty."""
    with pytest.raises(ConfigurationError, match=r"ignore_exc.*Fix: ignore_exc=False"):
        from_client(client())


@pytest.mark.parametrize(
    ("client", "words"),
    [
        (lambda: Client("/run/memcached.sock"), "Unix sockets"),
        (lambda: HashClient([]), "no server"),
        (lambda: Client("a", key_prefix=b"\xff"), "printable ASCII"),
        (lambda: ssl.create_default_context(), "not a client of pymemcache"),
    ],
    ids=["Unix socket", "no server", "prefix", "another library's"],
)
def test_clients_that_cannot_be_used(client: Callable[[], object], words: str) -> None:
    """Other objects are refused at once, not at the first call."""
    with pytest.raises(ConfigurationError, match=words):
        MemcachedTokenCache.from_client(client())


@pytest.mark.processes
def test_without_its_library() -> None:
    """Without pymemcache the message names the extra to install."""
    code = """if True:
        import sys
        class Absent:
            def find_spec(self, name, *_):
                if name.startswith("pymemcache"):
                    raise ModuleNotFoundError(name, name=name)
        sys.meta_path.insert(0, Absent())
        from m2m_auth.caches import from_url
        from m2m_auth.errors import ConfigurationError
        try:
            from_url("memcached://cache")
        except ConfigurationError as error:
            print(error)
    """
    said = run_python(code)
    assert "'pymemcache'" in said
    assert "pip install 'm2m-auth[memcached]'" in said
