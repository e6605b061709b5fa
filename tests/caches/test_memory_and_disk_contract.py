"""MemoryTokenCache and DiskTokenCache pass the contract of caches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from m2m_auth.caches.disk import DiskTokenCache
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.caches.protocol import TokenCache
from m2m_auth.errors import ConfigurationError
from m2m_auth.testing import CacheContract


@pytest.mark.processes
class TestMemoryTokenCache(CacheContract):
    """A cache in one process."""

    @pytest.fixture
    def cache(self) -> TokenCache:
        """A new cache for each test."""
        return MemoryTokenCache()


@pytest.mark.processes
class TestDiskTokenCache(CacheContract):
    """A cache of all processes of a user."""

    lease_rounds = 200

    @pytest.fixture
    def open_cache(self, tmp_path: Path) -> Callable[[], TokenCache]:
        """Opens the same folder each time, in any process."""
        return partial(DiskTokenCache, tmp_path / "cache")


def test_memory_is_bounded() -> None:
    """With more keys than max_entries, the least recently used ones are evicted."""
    cache = MemoryTokenCache(max_entries=3)
    for key in "abcd":
        cache.set(key, b"value", 60)
    assert cache.get("b") == b"value"
    cache.set("e", b"value", 60)
    assert [key for key in "abcde" if cache.get(key)] == ["b", "d", "e"]


@pytest.mark.parametrize("max_entries", [0, -1])
def test_memory_needs_room(max_entries: int) -> None:
    """A cache that could hold nothing is a ConfigurationError."""
    with pytest.raises(ConfigurationError, match=f"max_entries={max_entries}"):
        MemoryTokenCache(max_entries)
