"""The contract over correct and broken caches. Only test_cache_contract.py collects this file."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import sample_caches
from documented_cache import SqliteCache, TestSqliteCache  # noqa: F401 - of docs/own-cache.md; pytest collects it with this file

from m2m_auth.caches.protocol import TokenCache
from m2m_auth.testing import CacheContract


class InThisProcess(CacheContract):
    """The contract of the sample cache that the test class is named after."""

    slack = 0.3

    @pytest.fixture
    def cache(self) -> TokenCache:
        """One instance."""
        return getattr(sample_caches, type(self).__name__.removeprefix("Test"))()


for name in ("DictCache", "NothingShared", "RacyAdd", "WrongRelease", "ProlongedCounter", "RacyCounter", "Everlasting"):
    globals()[f"Test{name}"] = type(f"Test{name}", (InThisProcess,), {})
for name in ("Impatient", "KeptTimeToLive", "ShortKeys", "CStrings", "LeftInFork", "OnlySaysShared"):
    globals()[f"Test{name}"] = type(f"Test{name}", (InThisProcess,), {})


class TestForgotten(CacheContract):
    """It overrides no fixture."""


class TestLambda(CacheContract):
    """Its callable cannot be sent to another process."""

    @pytest.fixture
    def open_cache(self, tmp_path: Path) -> Callable[[], TokenCache]:
        """A lambda cannot be pickled."""
        return lambda: SqliteCache(tmp_path / "cache.db")


class RacyLeases(SqliteCache):
    """Its add is get, then set."""

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """See TokenCache."""
        if self.get(key) is not None:
            return False
        time.sleep(0.01)
        self.set(key, value, ttl)
        return True


class SeparateCounts(SqliteCache):
    """Each process counts for itself."""

    count = 0

    def increment(self, key: str, ttl: float) -> int:
        """See TokenCache."""
        self.count += 1
        return self.count


class TestRacyLeases(CacheContract):
    """One process gets the lease between get and set of another."""

    @pytest.fixture
    def open_cache(self, tmp_path: Path) -> Callable[[], TokenCache]:
        """One file."""
        return partial(RacyLeases, tmp_path / "cache.db")


class TestSeparateCounts(CacheContract):
    """Two processes see the same count."""

    lease_rounds = 1

    @pytest.fixture
    def open_cache(self, tmp_path: Path) -> Callable[[], TokenCache]:
        """One file."""
        return partial(SeparateCounts, tmp_path / "cache.db")
