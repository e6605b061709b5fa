"""Steps that many tests of the contract take (needs pytest)."""

# ruff: noqa: S101 - these are steps of tests

from __future__ import annotations

import time

import pytest

from ..caches.protocol import TokenCache
from .contract_races import OpenCache


def require(cache: TokenCache, *names: str) -> None:
    """Skips the test unless the cache can do all of this."""
    for name in names:
        if not getattr(cache.capabilities, name):
            pytest.skip(f"capabilities.{name} is False")


def needed(open_cache: OpenCache | None) -> OpenCache:
    """Fails the test of a cache that claims to be shared and cannot be opened twice."""
    if open_cache is None:
        pytest.fail("capabilities.shared is True: override the fixture open_cache, so that processes can race")
    return open_cache


def wait_until_gone(cache: TokenCache, key: str, start: float, ttl: float, slack: float) -> None:
    """Waits for the end of a value that was stored at ``start``, and checks that it came in time."""
    tolerance = cache.capabilities.resolution
    while True:
        # The clock is read before the early end and after the late one: a slow machine can only be lenient.
        before = time.monotonic() - start
        if cache.get(key) is None:
            break
        assert before < ttl + tolerance + slack, f"still there long after its {ttl} s to live"
        time.sleep(0.01)
    assert time.monotonic() - start >= ttl - tolerance, f"gone before its {ttl} s to live were over"
