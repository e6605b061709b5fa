"""FaultyCache works as its inner cache until a test makes it fail."""

from __future__ import annotations

import time

import pytest
from sample_caches import DictCache

from m2m_auth.caches.protocol import TokenCache
from m2m_auth.errors import CacheUnavailable
from m2m_auth.testing import FaultyCache


@pytest.fixture
def cache() -> FaultyCache:
    """A FaultyCache over a dictionary."""
    return FaultyCache(DictCache())


def use(cache: FaultyCache) -> list[object]:
    """One call of each operation."""
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
    """Without a fault it has the results and capabilities of the inner cache, and records the calls."""
    assert isinstance(cache, TokenCache)
    assert cache.capabilities == DictCache.capabilities
    assert use(cache) == [b"value", False, True, None, 1]
    assert cache.calls == ["delete", "set", "get", "add", "delete_if", "get", "increment"]
    cache.close()
    cache.release_thread()


def test_passes_on_the_end_of_a_flight() -> None:
    """release_thread() reaches the inner cache."""

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
    """Each operation takes longer by the delay, also one that fails."""
    cache.delay = 0.05
    cache.down = {"get"}
    start = time.monotonic()
    cache.set("key", b"value", 60)
    with pytest.raises(CacheUnavailable):
        cache.get("key")
    assert time.monotonic() - start >= 0.1


def test_lies(cache: FaultyCache) -> None:
    """Lies change what get or add return; the inner cache stays the same."""
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
    """After lose() it has no entries and works."""
    use(cache)
    cache.add("lease", b"owner", 60)
    cache.lose()
    assert [cache.get(key) for key in ("key", "lease", "counter")] == [None, None, None]
    assert use(cache) == [b"value", False, True, None, 1]
