"""The contract over good and broken caches. Not collected with our tests: test_cache_contract.py runs it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import sample_caches
from documented_cache import SqliteCache, TestSqliteCache  # noqa: F401 - docs/own-cache.md's, to be collected here

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
for name in ("Impatient", "ShortKeys", "CStrings", "LeftInFork", "OnlySaysShared"):
    globals()[f"Test{name}"] = type(f"Test{name}", (InThisProcess,), {})


class TestForgotten(CacheContract):
    """It says nothing of its cache."""


class TestOpenedApart(CacheContract):
    """Each process gets a cache of its own."""

    @pytest.fixture
    def open_cache(self) -> Callable[[], TokenCache]:
        """Opens another cache each time."""
        return sample_caches.OnlySaysShared


class TestLambda(CacheContract):
    """It cannot be opened in another process."""

    @pytest.fixture
    def open_cache(self, tmp_path: Path) -> Callable[[], TokenCache]:
        """A callable that cannot be sent."""
        return lambda: SqliteCache(tmp_path / "cache.db")


class RacyAcrossProcesses(SqliteCache):
    """Its add is get, then set."""

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """See TokenCache."""
        if self.get(key) is not None:
            return False
        time.sleep(0.01)
        self.set(key, value, ttl)
        return True


class TestRacyAcrossProcesses(CacheContract):
    """See the cache."""

    @pytest.fixture
    def open_cache(self, tmp_path: Path) -> Callable[[], TokenCache]:
        """One file."""
        return partial(RacyAcrossProcesses, tmp_path / "cache.db")
