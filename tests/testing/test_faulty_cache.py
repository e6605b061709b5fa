"""FaultyCache is its inner cache until it is told to be down, slow, lying or forgetful."""

from __future__ import annotations

import time

import pytest
from sample_caches import DictCache

from m2m_auth.caches.protocol import TokenCache
from m2m_auth.errors import CacheUnavailable
from m2m_auth.testing import FaultyCache


@pytest.fixture
def cache() -> FaultyCache:
    """A dict's faulty double."""
    return FaultyCache(DictCache())


def use(cache: FaultyCache) -> list[object]:
    """One call of everything."""
    cache.delete("counter")
    cache.set("key", b"value", 60)
    return [
        cache.get("key"),
        cache.add("key", b"other", 60),
        cache.delete_if("key", b"value"),
        cache.get("key"),
        cache.increment("counter", 60),
    ]


def test_is_its_inner_cache(cache: FaultyCache) -> None:
    """Without a fault it does what the inner cache does, declares the same, and counts the calls."""
    assert isinstance(cache, TokenCache)
    assert cache.capabilities == DictCache.capabilities
    assert use(cache) == [b"value", False, True, None, 1]
    assert cache.calls == ["delete", "set", "get", "add", "delete_if", "get", "increment"]
    cache.close()
    cache.release_thread()


def test_passes_on_the_end_of_a_flight() -> None:
    """An inner cache with connections per thread is told when a thread is done with it."""

    class PerThread(DictCache):
        """It counts."""

        released = 0

        def release_thread(self) -> None:
            """Counts."""
            self.released += 1

    inner = PerThread()
    FaultyCache(inner).release_thread()
    assert inner.released == 1


def test_down(cache: FaultyCache) -> None:
    """Every operation, or each named one, raises CacheUnavailable until the cache is up again."""
    operations = {
        "get": lambda: cache.get("key"),
        "set": lambda: cache.set("key", b"value", 60),
        "delete": lambda: cache.delete("key"),
        "add": lambda: cache.add("key", b"value", 60),
        "delete_if": lambda: cache.delete_if("key", b"value"),
        "increment": lambda: cache.increment("key", 60),
    }
    cache.down = True
    for name, operation in operations.items():
        with pytest.raises(CacheUnavailable, match=name):
            operation()
    cache.down = {"add"}
    with pytest.raises(CacheUnavailable):
        operations["add"]()
    assert operations["get"]() is None
    cache.down = False
    assert use(cache) == [b"value", False, True, None, 1]


def test_slow(cache: FaultyCache) -> None:
    """Each operation takes the delay longer, also one that then fails."""
    cache.delay = 0.05
    cache.down = {"get"}
    start = time.monotonic()
    cache.set("key", b"value", 60)
    with pytest.raises(CacheUnavailable):
        cache.get("key")
    assert time.monotonic() - start >= 0.1


def test_lies(cache: FaultyCache) -> None:
    """Get answers with noise, or add says what it likes; the inner cache stays as it was."""
    cache.set("key", b"value", 60)
    cache.lie = "garbage"
    assert cache.get("key") not in (None, b"value", cache.get("key"))
    assert cache.get("missing") is not None
    cache.lie = "add_always_true"
    assert cache.add("key", b"other", 60) is True
    cache.lie = "add_always_false"
    assert cache.add("new", b"other", 60) is False
    cache.lie = None
    assert (cache.get("key"), cache.get("new")) == (b"value", None)


def test_loses_everything(cache: FaultyCache) -> None:
    """After lose() it is as empty as a cache server after a restart, and works on."""
    use(cache)
    cache.add("lease", b"owner", 60)
    cache.lose()
    assert [cache.get(key) for key in ("key", "lease", "counter")] == [None, None, None]
    assert use(cache) == [b"value", False, True, None, 1]
