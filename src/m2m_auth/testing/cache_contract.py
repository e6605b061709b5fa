"""The suite of tests that every token cache passes, your own too (needs pytest)."""

# ruff: noqa: S101 - this module consists of asserts

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from functools import partial

import pytest

from ..caches.protocol import TokenCache
from . import contract_races
from .contract_races import OpenCache

__all__ = ["CacheContract"]


class CacheContract:
    """Subclass it as ``class TestMyCache(CacheContract)`` and override the fixture :meth:`open_cache`.

    The fixture returns a callable without arguments. Each call opens the cache again, on the same data. The races call
    it in other processes, so it must be picklable: a module's function, a class, or :func:`functools.partial` of one.
    A cache in one process's memory (``capabilities.shared`` is False) may override only the fixture :meth:`cache`.

    A test that needs a missing capability is skipped, and the skip names the capability. Times to live run on the real
    clock, as short as ``capabilities.resolution`` allows. Keys are random; the tests do not clear the cache.

    Attributes:
        slack: seconds that an entry may stay longer than its time to live, for busy machines.
        lease_rounds: how often four processes race for a lease; at most 1,000.
    """

    slack = 5.0
    lease_rounds = 25

    @pytest.fixture
    def open_cache(self) -> OpenCache | None:
        """Override it: a callable that opens the cache, in this process and in others."""
        return None

    @pytest.fixture
    def cache(self, open_cache: OpenCache | None) -> Iterator[TokenCache]:
        """The cache under test, closed after each test."""
        if open_cache is None:
            pytest.fail(
                "CacheContract: override the fixture open_cache; or the fixture cache, if the cache is not shared"
            )
        cache = open_cache()
        yield cache
        cache.close()

    @pytest.fixture
    def key(self) -> str:
        """A new key of 64 characters, the maximum."""
        return secrets.token_hex(32)

    @pytest.fixture
    def short_ttl(self, cache: TokenCache) -> float:
        """A time to live, in seconds, that is short enough to wait for."""
        return max(0.2, 2 * cache.capabilities.resolution)

    def test_is_a_token_cache(self, cache: TokenCache) -> None:
        """It has every method of the protocol, and capabilities."""
        assert isinstance(cache, TokenCache)
        assert cache.capabilities.resolution > 0

    @pytest.mark.parametrize(
        "value",
        [b"token", b"", b"\x00", b"a\x00b\n\r\xff", bytes(range(256)) * 16],
        ids=["text", "empty", "nul", "control", "4 KB"],
    )
    def test_round_trip(self, cache: TokenCache, key: str, value: bytes) -> None:
        """Any bytes come back unchanged."""
        cache.set(key, value, 60)
        read = cache.get(key)
        assert read == value
        assert type(read) is bytes

    def test_missing(self, cache: TokenCache, key: str) -> None:
        """A key without a value reads as None, and deleting it is no error."""
        assert cache.get(key) is None
        cache.delete(key)

    def test_long_keys_differ(self, cache: TokenCache, key: str) -> None:
        """Two keys that differ only in the last of 64 characters have two values."""
        other = key[:-1] + ("0" if key[-1] != "0" else "1")
        cache.set(key, b"one", 60)
        cache.set(other, b"two", 60)
        assert (cache.get(key), cache.get(other)) == (b"one", b"two")

    def test_overwrite(self, cache: TokenCache, key: str) -> None:
        """The latest value wins."""
        cache.set(key, b"first, and longer", 60)
        cache.set(key, b"second", 60)
        assert cache.get(key) == b"second"

    def test_delete(self, cache: TokenCache, key: str) -> None:
        """A deleted key is gone."""
        cache.set(key, b"value", 60)
        cache.delete(key)
        assert cache.get(key) is None

    def test_expiry(self, cache: TokenCache, key: str, short_ttl: float) -> None:
        """A value lives as long as its time to live, and no longer; a later set starts a new time to live."""
        again = f"again{key[5:]}"
        start = time.monotonic()
        cache.set(key, b"value", short_ttl)
        cache.set(again, b"first", short_ttl)
        cache.set(again, b"second", 60)
        _wait_until_gone(cache, key, start, short_ttl, self.slack)
        assert cache.get(again) == b"second"

    def test_a_day_long_time_to_live(self, cache: TokenCache, key: str) -> None:
        """A time to live of 24 h, the longest of a token, works."""
        cache.set(key, b"value", 86_400)
        assert cache.get(key) == b"value"

    def test_close_then_use_again(self, cache: TokenCache, key: str) -> None:
        """A closed cache opens again when it is used. Closing twice is harmless."""
        cache.set(key, b"before", 60)
        cache.close()
        cache.close()
        if cache.capabilities.shared:
            assert cache.get(key) == b"before"
        cache.set(key, b"after", 60)
        assert cache.get(key) == b"after"

    def test_add_once(self, cache: TokenCache, key: str) -> None:
        """An add stores the value only if the key has none, whether add or set stored it."""
        _require(cache, "atomic_add")
        assert cache.add(key, b"first", 60) is True
        assert cache.add(key, b"second", 60) is False
        assert cache.get(key) == b"first"
        cache.set(key, b"set", 60)
        assert cache.add(key, b"third", 60) is False
        cache.delete(key)
        assert cache.add(key, b"fourth", 60) is True
        assert cache.get(key) == b"fourth"

    def test_lapsed_lease(self, cache: TokenCache, key: str, short_ttl: float) -> None:
        """A lease that was not released lapses. A release that comes later leaves the next owner's lease alone."""
        _require(cache, "atomic_add")
        start = time.monotonic()
        assert cache.add(key, b"owner", short_ttl) is True
        _wait_until_gone(cache, key, start, short_ttl, self.slack)
        assert cache.add(key, b"next owner", 60) is True
        if cache.capabilities.compare_delete:
            assert cache.delete_if(key, b"owner") is False
        assert cache.get(key) == b"next owner"

    def test_threads_race_for_one_lease(self, cache: TokenCache, key: str) -> None:
        """Exactly one of 16 threads that call add at the same moment wins, in every round."""
        _require(cache, "atomic_add")
        for turn in range(10):
            lease = partial(cache.add, f"{turn:02}{key[2:]}", b"owner", 60)
            wins = contract_races.by_threads(16, lease, cache)
            assert wins.count(True) == 1, f"{wins.count(True)} of 16 threads hold the lease"

    def test_delete_if(self, cache: TokenCache, key: str) -> None:
        """delete_if deletes the key only if it has the given value."""
        _require(cache, "compare_delete")
        assert cache.delete_if(key, b"owner") is False
        cache.set(key, b"owner", 60)
        assert cache.delete_if(key, b"other") is False
        assert cache.delete_if(key, b"owne") is False
        assert cache.get(key) == b"owner"
        assert cache.delete_if(key, b"owner") is True
        assert cache.get(key) is None

    def test_lease_can_be_taken_after_its_release(self, cache: TokenCache, key: str) -> None:
        """A released lease is free at once."""
        _require(cache, "atomic_add", "compare_delete")
        assert cache.add(key, b"owner", 60) is True
        assert cache.delete_if(key, b"owner") is True
        assert cache.add(key, b"next owner", 60) is True

    def test_threads_race_to_release(self, cache: TokenCache, key: str) -> None:
        """Exactly one of 8 threads that release the same lease at the same moment succeeds."""
        _require(cache, "compare_delete")
        cache.set(key, b"owner", 60)
        assert contract_races.by_threads(8, lambda: cache.delete_if(key, b"owner"), cache).count(True) == 1

    def test_increment(self, cache: TokenCache, key: str) -> None:
        """A counter starts at 1, grows by one, and reads as decimal digits."""
        _require(cache, "atomic_increment")
        assert cache.get(key) is None
        assert [cache.increment(key, 60) for _ in range(12)] == list(range(1, 13))
        assert cache.get(key) == b"12"

    def test_increment_expiry(self, cache: TokenCache, key: str, short_ttl: float) -> None:
        """A counter's time to live starts at its first increment; later increments do not prolong it."""
        _require(cache, "atomic_increment")
        start = previous = time.monotonic()
        cache.increment(key, short_ttl)
        while True:
            time.sleep(short_ttl / 5)
            before = time.monotonic()
            count, after = cache.increment(key, short_ttl), time.monotonic()
            if count == 1 and after - previous < short_ttl:
                break
            if count == 1:  # on a slow machine the pause was so long that a prolonged counter would lapse as well
                start = before
            limit = short_ttl + cache.capabilities.resolution + self.slack
            assert before - start < limit, "each increment prolongs the counter"
            previous = before
        assert after - start >= short_ttl - cache.capabilities.resolution, "the counter lapsed early"

    def test_threads_lose_no_increment(self, cache: TokenCache, key: str) -> None:
        """8 threads together count to 80, and each number is seen once."""
        _require(cache, "atomic_increment")
        seen = contract_races.by_threads(8, lambda: [cache.increment(key, 60) for _ in range(10)], cache)
        assert sorted(number for numbers in seen for number in numbers) == list(range(1, 81))

    def test_processes_race(self, cache: TokenCache, open_cache: OpenCache | None, key: str) -> None:
        """In each round exactly one of 4 processes gets the lease. Together they count to 200 and lose no count."""
        able = cache.capabilities
        _require(cache, "shared")
        if not able.atomic_add and not able.atomic_increment:
            pytest.skip("capabilities.atomic_add and capabilities.atomic_increment are False")
        race = partial(
            contract_races.race,
            rounds=self.lease_rounds if able.atomic_add else 0,
            increments=contract_races.INCREMENTS if able.atomic_increment else 0,
        )
        by_process = contract_races.by_processes(_needed(open_cache), race, key)
        for turn, won in enumerate(zip(*[leases for leases, _ in by_process], strict=True)):
            winners = [owner for owner in won if owner is not None]
            assert len(winners) == 1, (
                f"round {turn}: {len(winners)} of {contract_races.PROCESSES} processes hold the lease"
            )
            assert cache.get(contract_races.lease_key(key, turn)) == winners[0].encode()
        counts = sorted(number for _, numbers in by_process for number in numbers)
        assert counts == list(range(1, len(counts) + 1)), "two processes saw the same count"
        if counts:
            assert cache.get(key) == str(len(counts)).encode()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork()")
    def test_usable_after_fork(self, cache: TokenCache, key: str) -> None:
        """After a fork the cache works in the child and in the parent; a shared cache connects the two."""
        cache.set(key, b"parent", 60)

        def in_child() -> None:
            assert cache.get(key) == b"parent", "the child does not see the parent's value"
            cache.set(key, b"child", 60)
            assert cache.get(key) == b"child", "the child does not see its own value"

        problem = contract_races.in_forked_child(in_child)
        assert problem is None, problem
        assert cache.get(key) == (b"child" if cache.capabilities.shared else b"parent")


def _require(cache: TokenCache, *names: str) -> None:
    """Skips the test unless the cache has all of these capabilities."""
    for name in names:
        if not getattr(cache.capabilities, name):
            pytest.skip(f"capabilities.{name} is False")


def _needed(open_cache: OpenCache | None) -> OpenCache:
    """Fails the test of a cache that says it is shared and gives no way to open it in other processes."""
    if open_cache is None:
        pytest.fail("capabilities.shared is True: override the fixture open_cache, so that processes can race")
    return open_cache


def _wait_until_gone(cache: TokenCache, key: str, start: float, ttl: float, slack: float) -> None:
    """Waits until the key has expired, and checks the time since ``start``."""
    tolerance = cache.capabilities.resolution
    while True:
        # Read before get for the upper limit, after it for the lower one: a slow machine causes no failure.
        before = time.monotonic() - start
        if cache.get(key) is None:
            break
        assert before < ttl + tolerance + slack, f"still there long after its time to live of {ttl} s"
        time.sleep(0.01)
    assert time.monotonic() - start >= ttl - tolerance, f"gone before its time to live of {ttl} s was over"
