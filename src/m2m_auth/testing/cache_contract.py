"""One suite of tests that every token cache passes; run it over your own (needs pytest)."""

# ruff: noqa: S101 - the asserts are what this module is for

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
from .contract_steps import needed, require, wait_until_gone

__all__ = ["CacheContract"]


class CacheContract:
    """Subclass it as ``class TestMyCache(CacheContract)`` and override the fixture :meth:`open_cache`.

    The fixture returns a callable without arguments that opens the cache; each call opens it anew, on the same
    data. The races call it in other processes, so it must be one that can be sent there: a module's function,
    a class, or :func:`functools.partial` of one. A cache that only lives in this process
    (``capabilities.shared`` is False) may override the fixture :meth:`cache` alone.

    Tests of something that ``capabilities`` says is missing are skipped, naming it. Times to live are tried on
    the real clock, as short as ``capabilities.resolution`` allows. Keys are random; nothing is cleared.

    Attributes:
        slack: how much longer than its time to live an entry may stay, in seconds, for busy machines.
        lease_rounds: how often four processes race for a lease; at most 1,000.
    """

    slack = 5.0
    lease_rounds = 25

    @pytest.fixture
    def open_cache(self) -> OpenCache | None:
        """Override it: how to open the cache, in this process and in others."""
        return None

    @pytest.fixture
    def cache(self, open_cache: OpenCache | None) -> Iterator[TokenCache]:
        """The cache under test, closed after each test."""
        if open_cache is None:
            pytest.fail("CacheContract: override the fixture open_cache, or cache for one that is not shared")
        cache = open_cache()
        yield cache
        cache.close()

    @pytest.fixture
    def key(self) -> str:
        """A new key of 64 characters, the longest there is."""
        return secrets.token_hex(32)

    @pytest.fixture
    def short_ttl(self, cache: TokenCache) -> float:
        """A time to live in seconds that is worth waiting for."""
        return max(0.2, 2 * cache.capabilities.resolution)

    def test_is_a_token_cache(self, cache: TokenCache) -> None:
        """It has every method of the protocol, and its capabilities."""
        assert isinstance(cache, TokenCache)
        assert cache.capabilities.resolution > 0

    @pytest.mark.parametrize(
        "value",
        [b"token", b"", b"\x00", b"a\x00b\n\r\xff", bytes(range(256)) * 16],
        ids=["text", "empty", "nul", "control", "4 KB"],
    )
    def test_round_trip(self, cache: TokenCache, key: str, value: bytes) -> None:
        """Bytes come back as they went in, whatever they are."""
        cache.set(key, value, 60)
        read = cache.get(key)
        assert read == value
        assert type(read) is bytes

    def test_missing(self, cache: TokenCache, key: str) -> None:
        """A key that was never set reads as None, and deleting it is no error."""
        assert cache.get(key) is None
        cache.delete(key)

    def test_long_keys_are_told_apart(self, cache: TokenCache, key: str) -> None:
        """Two keys that differ in the last of 64 characters are two keys."""
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
        """A value lives as long as its time to live, and no longer."""
        start = time.monotonic()
        cache.set(key, b"value", short_ttl)
        wait_until_gone(cache, key, start, short_ttl, self.slack)

    def test_overwriting_renews_the_time_to_live(self, cache: TokenCache, key: str, short_ttl: float) -> None:
        """A set counts the time to live from itself, not from an earlier set."""
        cache.set(key, b"first", short_ttl)
        cache.set(key, b"second", 60)
        time.sleep(short_ttl + cache.capabilities.resolution)
        assert cache.get(key) == b"second"

    def test_a_day_long_time_to_live(self, cache: TokenCache, key: str) -> None:
        """The longest lifetime there is, 24 h, is stored as such."""
        cache.set(key, b"value", 86_400)
        assert cache.get(key) == b"value"

    def test_close_then_use_again(self, cache: TokenCache, key: str) -> None:
        """A closed cache opens again when it is used; closing twice is harmless."""
        cache.set(key, b"before", 60)
        cache.close()
        cache.close()
        if cache.capabilities.shared:
            assert cache.get(key) == b"before"
        cache.set(key, b"after", 60)
        assert cache.get(key) == b"after"

    def test_add_once(self, cache: TokenCache, key: str) -> None:
        """An add stores the value only where none is, whether add or set has put it there."""
        require(cache, "atomic_add")
        assert cache.add(key, b"first", 60) is True
        assert cache.add(key, b"second", 60) is False
        assert cache.get(key) == b"first"
        cache.set(key, b"set", 60)
        assert cache.add(key, b"third", 60) is False
        cache.delete(key)
        assert cache.add(key, b"fourth", 60) is True
        assert cache.get(key) == b"fourth"

    def test_add_after_expiry(self, cache: TokenCache, key: str, short_ttl: float) -> None:
        """A lease that nobody gave back lapses, and the next one can take it."""
        require(cache, "atomic_add")
        start = time.monotonic()
        assert cache.add(key, b"first", short_ttl) is True
        wait_until_gone(cache, key, start, short_ttl, self.slack)
        assert cache.add(key, b"second", 60) is True
        assert cache.get(key) == b"second"

    def test_threads_race_for_one_lease(self, cache: TokenCache, key: str) -> None:
        """Of 16 threads that add at the same moment exactly one wins, in every round."""
        require(cache, "atomic_add")
        for turn in range(10):
            lease = partial(cache.add, f"{turn:02}{key[2:]}", b"owner", 60)
            wins = contract_races.by_threads(16, lease)
            assert wins.count(True) == 1, f"{wins.count(True)} of 16 threads hold the lease"

    def test_delete_if(self, cache: TokenCache, key: str) -> None:
        """delete_if deletes the value it was given, and no other."""
        require(cache, "compare_delete")
        assert cache.delete_if(key, b"owner") is False
        cache.set(key, b"owner", 60)
        assert cache.delete_if(key, b"other") is False
        assert cache.delete_if(key, b"owne") is False
        assert cache.get(key) == b"owner"
        assert cache.delete_if(key, b"owner") is True
        assert cache.get(key) is None

    def test_lease_can_be_taken_after_its_release(self, cache: TokenCache, key: str) -> None:
        """A lease that was given back is free at once."""
        require(cache, "atomic_add", "compare_delete")
        assert cache.add(key, b"owner", 60) is True
        assert cache.delete_if(key, b"owner") is True
        assert cache.add(key, b"next owner", 60) is True

    def test_stale_release(self, cache: TokenCache, key: str, short_ttl: float) -> None:
        """Who lets go of a lapsed lease too late does not free the next owner's."""
        require(cache, "atomic_add", "compare_delete")
        start = time.monotonic()
        assert cache.add(key, b"owner", short_ttl) is True
        wait_until_gone(cache, key, start, short_ttl, self.slack)
        assert cache.add(key, b"next owner", 60) is True
        assert cache.delete_if(key, b"owner") is False
        assert cache.get(key) == b"next owner"

    def test_threads_race_to_release(self, cache: TokenCache, key: str) -> None:
        """Of 8 threads that release the same lease at the same moment exactly one does."""
        require(cache, "compare_delete")
        cache.set(key, b"owner", 60)
        assert contract_races.by_threads(8, lambda: cache.delete_if(key, b"owner")).count(True) == 1

    def test_increment(self, cache: TokenCache, key: str) -> None:
        """A counter starts at 1, goes up by one, and reads as decimal digits."""
        require(cache, "atomic_increment")
        assert cache.get(key) is None
        assert [cache.increment(key, 60) for _ in range(12)] == list(range(1, 13))
        assert cache.get(key) == b"12"

    def test_increment_expiry(self, cache: TokenCache, key: str, short_ttl: float) -> None:
        """A counter's time to live counts from its first increment: counting on does not prolong it."""
        require(cache, "atomic_increment")
        start = time.monotonic()
        took = 0.0
        cache.increment(key, short_ttl)
        while cache.increment(key, short_ttl) > 1:
            assert took < short_ttl + cache.capabilities.resolution + self.slack, "each increment prolongs the counter"
            time.sleep(short_ttl / 20)
            took = time.monotonic() - start
        assert time.monotonic() - start >= short_ttl - cache.capabilities.resolution

    def test_threads_lose_no_increment(self, cache: TokenCache, key: str) -> None:
        """8 threads count to 80 together, and no two see the same number."""
        require(cache, "atomic_increment")
        seen = contract_races.by_threads(8, lambda: [cache.increment(key, 60) for _ in range(10)])
        assert sorted(number for numbers in seen for number in numbers) == list(range(1, 81))

    def test_processes_race_for_leases(self, cache: TokenCache, open_cache: OpenCache | None, key: str) -> None:
        """In each round exactly one of 4 processes gets the lease, and the others see that it is taken."""
        require(cache, "shared", "atomic_add")
        race = partial(contract_races.take_leases, rounds=self.lease_rounds)
        by_process = contract_races.by_processes(needed(open_cache), race, key)
        for turn, won in enumerate(zip(*by_process, strict=True)):
            winners = [owner for owner in won if owner is not None]
            assert len(winners) == 1, (
                f"round {turn}: {len(winners)} of {contract_races.PROCESSES} processes hold the lease"
            )
            assert cache.get(f"{turn:03}{key[3:]}") == winners[0].encode()

    def test_processes_lose_no_increment(self, cache: TokenCache, open_cache: OpenCache | None, key: str) -> None:
        """4 processes count to 200 together, and no two see the same number."""
        require(cache, "shared", "atomic_increment")
        seen = contract_races.by_processes(needed(open_cache), contract_races.count_up, key)
        total = contract_races.PROCESSES * contract_races.INCREMENTS
        assert sorted(number for numbers in seen for number in numbers) == list(range(1, total + 1))
        assert cache.get(key) == str(total).encode()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork()")
    def test_usable_after_fork(self, cache: TokenCache, key: str) -> None:
        """A cache that was in use works on in a forked child and in its parent; a shared one connects the two."""
        cache.set(key, b"parent", 60)

        def in_child() -> None:
            assert cache.get(key) == b"parent", "the child does not see what its parent has set"
            cache.set(key, b"child", 60)
            assert cache.get(key) == b"child", "the child does not see what it has set itself"

        trouble = contract_races.in_forked_child(in_child)
        assert trouble is None, trouble
        assert cache.get(key) == (b"child" if cache.capabilities.shared else b"parent")
