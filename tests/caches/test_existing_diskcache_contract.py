"""An application's own diskcache.Cache and FanoutCache pass the contract that every cache passes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import diskcache
import pytest

from m2m_auth.caches.opening import from_client
from m2m_auth.caches.protocol import TokenCache
from m2m_auth.testing import CacheContract


def opened(kind: type[diskcache.Cache] | type[diskcache.FanoutCache], folder: Path) -> TokenCache:
    """The token cache over a new object of theirs on this folder; a function that other processes can import."""
    with kind(str(folder)) as theirs:
        cache = from_client(theirs)
    assert cache is not None
    return cache


class TestCache(CacheContract):
    """The contract over diskcache.Cache, races between processes included."""

    @pytest.fixture
    def open_cache(self, tmp_path: Path) -> Callable[[], TokenCache]:
        """Opens the same folder each time."""
        return partial(opened, diskcache.Cache, tmp_path / "theirs")


class TestFanoutCache(CacheContract):
    """The contract over diskcache.FanoutCache, races between processes included."""

    @pytest.fixture
    def open_cache(self, tmp_path: Path) -> Callable[[], TokenCache]:
        """Opens the same folders each time."""
        return partial(opened, diskcache.FanoutCache, tmp_path / "theirs")
