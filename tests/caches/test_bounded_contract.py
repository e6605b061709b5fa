"""BoundedCache passes the contract of caches, over a TokenCache and over a platform's small store."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from bounded_stores import over_disk, over_folder

from m2m_auth.caches.bounded import BoundedCache
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.caches.protocol import TokenCache
from m2m_auth.testing import CacheContract

pytestmark = pytest.mark.processes


class TestOverATokenCache(CacheContract):
    """Leases and releases are those of the inner cache."""

    @pytest.fixture
    def open_cache(self, tmp_path: Path) -> Callable[[], TokenCache]:
        """Opens the same folder each time."""
        return partial(over_disk, tmp_path / "cache")


class TestOverASmallStore(CacheContract):
    """A store of text with get, set and delete only: no shared lease and no shared ledger."""

    @pytest.fixture
    def open_cache(self, tmp_path: Path) -> Callable[[], TokenCache]:
        """Opens the same folder each time."""
        return partial(over_folder, tmp_path / "store")


class TestOverMemory(CacheContract):
    """Within one process the ledger is atomic too."""

    @pytest.fixture
    def cache(self) -> TokenCache:
        """A new cache for each test."""
        return BoundedCache(MemoryTokenCache())


class TestWhereNothingFits(CacheContract):
    """A cache in which every entry is too large works from memory."""

    @pytest.fixture
    def cache(self) -> TokenCache:
        """A new cache for each test."""
        return BoundedCache(MemoryTokenCache(), max_total=1)
