"""The Cache and the FanoutCache of an application pass the contract of caches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import diskcache
import pytest
from store_variants import StoreVariant

from m2m_auth.caches.opening import from_client
from m2m_auth.caches.protocol import TokenCache
from m2m_auth.testing import CacheContract

pytestmark = pytest.mark.processes


def opened(kind: type[diskcache.Cache] | type[diskcache.FanoutCache], folder: Path) -> TokenCache:
    """The token cache over a new diskcache object on this folder; a function that other processes can import."""
    with kind(str(folder)) as client:
        cache = from_client(client)
    assert cache is not None
    return cache


class TestCache(CacheContract):
    """A diskcache.Cache: one database."""

    @pytest.fixture
    def open_cache(self, tmp_path: Path) -> Callable[[], TokenCache]:
        """Opens the same folder each time."""
        return partial(opened, diskcache.Cache, tmp_path / "application")


class TestFanoutCache(StoreVariant):
    """A diskcache.FanoutCache: several databases."""

    @pytest.fixture
    def open_cache(self, tmp_path: Path) -> Callable[[], TokenCache]:
        """Opens the same folders each time."""
        return partial(opened, diskcache.FanoutCache, tmp_path / "application")
