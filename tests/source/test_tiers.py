"""Tiers: memory, then a host's own cache, then the fleet's. Each host has a near cache, and all share a far one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from engine_steps import ClockedStore
from engine_support import ScriptedServer, answer, kinds, refusal, settle, source_on

from m2m_auth import ConfigurationError, TokenRequestRejected, TokenSource
from m2m_auth.caches.disk.disk_token_cache import DiskTokenCache
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.caches.protocol import TokenCache
from m2m_auth.caches.tiered import TieredCache
from m2m_auth.events import Event
from m2m_auth.source.token_source import engine_of
from m2m_auth.testing import CacheContract, FakeClock, FaultyCache


class Fleet:
    """Hosts with a near cache each, one far cache, one authorization server."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.server = clock, ScriptedServer(lifetime=1000)
        self.far = FaultyCache(ClockedStore(clock.monotonic))
        self.nears: dict[str, ClockedStore] = {}
        self.events: list[Event] = []

    def process(self, host: str) -> TokenSource:
        """A new process on a host: a source with a token state of its own."""
        near = self.nears.setdefault(host, ClockedStore(self.clock.monotonic))
        cache = TieredCache(near.beside(), self.far)
        return source_on(self.server, self.clock, self.events, client_id=f"fleet-{id(self)}", cache=cache)

    def far_reads(self) -> int:
        """How often the far cache was read."""
        return self.far.calls.count("get")


@pytest.fixture
def fleet(clock: FakeClock) -> Fleet:
    """A fleet on a fake clock; jitter falls on the early edge."""
    return Fleet(clock)


def test_a_hit_in_the_far_tier_is_put_into_the_nearer(fleet: Fleet) -> None:
    """A host reads the token from the far cache once; its other processes find it near by."""
    fleet.process("a").token()
    token = fleet.process("b").token()
    reads = fleet.far_reads()
    assert fleet.process("b").token() == token
    assert fleet.far_reads() == reads, "the far cache was read though the near one has the token"
    assert len(fleet.server.minted) == 1


def test_a_near_copy_lives_as_long_as_the_token(fleet: Fleet, clock: FakeClock) -> None:
    """The copy's time to live is what is left of the token's life, so an expired one is never found there."""
    fleet.process("a").token()
    clock.advance(600)
    fleet.process("b").token()
    ((_, until),) = [entry for key, entry in fleet.nears["b"].entries.items() if ".t." in key]
    assert until == pytest.approx(clock.monotonic() + 400)


def test_a_renewal_by_another_host_is_adopted(fleet: Fleet, clock: FakeClock) -> None:
    """The near copy is old by then: before it mints, a process asks the far cache, and finds the other host's token."""
    first, second = fleet.process("a"), fleet.process("b")
    old = first.token()
    assert second.token() == old
    clock.advance(750)
    first.token()
    settle(first)
    new = first.token()
    assert new != old
    second.token()
    settle(second)
    assert second.token() == new
    assert fleet.process("b").token() == new, "and it has been put into the near cache"
    assert len(fleet.server.minted) == 2


def test_a_fresh_token_reads_no_tier(fleet: Fleet, clock: FakeClock) -> None:
    """No polling: a fleet of fresh tokens does nothing."""
    source = fleet.process("a")
    source.token()
    calls = len(fleet.far.calls)
    for _ in range(700):
        clock.advance(1)
        source.token()
    assert len(fleet.far.calls) == calls


def test_the_near_tier_replaces_a_failed_far_one(fleet: Fleet, clock: FakeClock) -> None:
    """With the far cache down a host's processes still share one mint, and its counts; later the fleet is one again."""
    fleet.far.down = True
    sources = [fleet.process("a") for _ in range(5)]
    assert len({source.token().value for source in sources}) == 1
    other = fleet.process("b").token()
    assert len(fleet.server.minted) == 2, "one mint a host"
    assert kinds(fleet.events).count("cache_fault") <= 2 * 6
    fleet.far.down = False
    clock.advance(800)
    for source in sources:
        source.token()
        settle(source)
    newest = sources[0].token()
    late = fleet.process("c")
    assert late.token() == newest
    assert newest != other
    assert len(fleet.server.minted) == 3


def test_a_far_tier_that_lost_everything_is_filled_again(fleet: Fleet) -> None:
    """A restarted far cache costs no mint as long as a host still has the token near by."""
    token = fleet.process("a").token()
    fleet.far.lose()
    source = fleet.process("a")
    assert source.token() == token
    assert source.renew() != token
    fleet.far.lose()
    assert fleet.process("a").token() == source.token()
    assert len(fleet.server.minted) == 2


class Interrupted(ClockedStore):
    """A far cache into which another host writes a token just after this process has found none."""

    meanwhile: Callable[[], object] | None = None

    def get(self, key: str) -> bytes | None:
        """What is there; then what happens meanwhile."""
        value = super().get(key)
        if ".t." in key and value is None and self.meanwhile is not None:
            action, self.meanwhile = self.meanwhile, None
            action()
        return value


def test_a_refill_does_not_replace_a_newer_token(fleet: Fleet, clock: FakeClock) -> None:
    """Between a host's read of an emptied far cache and its refill another host has renewed: the newer one stays."""
    far = Interrupted(clock.monotonic)
    fleet.far = FaultyCache(far)
    first, second = fleet.process("a"), fleet.process("b")
    old = first.token()
    assert second.token() == old
    fleet.far.lose()
    clock.advance(800)
    far.meanwhile = lambda: (second.renew(), settle(second))
    first.token()
    settle(first)
    assert first.token() == second.token() != old
    assert fleet.process("c").token() == second.token()
    assert len(fleet.server.minted) == 2


def test_a_hold_that_is_shared_ends_in_time(fleet: Fleet, clock: FakeClock) -> None:
    """Processes come back spread out, but not later than their own token's last stretch: another may have renewed."""
    clock.uniform = lambda: 1.0
    first, second = fleet.process("a"), fleet.process("b")
    first.token()
    second.token()
    fleet.server.script = [answer(429, {}, {"Retry-After": "45"})]
    clock.advance(890)
    first.token()
    settle(first)
    second.token()
    settle(second)
    pause, held = engine_of(second).state.pause, engine_of(second).state.held
    assert pause is not None
    assert held is not None
    assert clock.monotonic() + 45 <= pause.until <= max(held.edges.expiring_at, clock.monotonic() + 50.1)


def test_a_rejected_token_is_replaced_by_the_far_one(fleet: Fleet, clock: FakeClock) -> None:
    """After a 401 on one host, another one with the old token near by adopts the new token from the far tier."""
    first, second = fleet.process("a"), fleet.process("b")
    old = first.token()
    assert second.token() == old
    clock.advance(60)
    first.reject(old)
    new = first.token()
    second.reject(old)
    assert second.token() == new
    assert len(fleet.server.minted) == 2


def test_a_failure_is_known_from_the_far_tier_only(fleet: Fleet, clock: FakeClock) -> None:
    """A failure on one host pauses the others; a failure that is cleared there pauses none."""
    fleet.server.down = refusal("invalid_scope")
    for host in "ab":
        with pytest.raises(TokenRequestRejected):
            fleet.process(host).token()
    assert len(fleet.server.requests) == 1
    fleet.server.down = None
    clock.advance(61)
    fleet.process("b").token()
    assert fleet.process("a").token() == fleet.process("b").token()
    assert [key for near in fleet.nears.values() for key in near.entries if ".f." in key] == []


def test_every_tier_is_sealed(fleet: Fleet) -> None:
    """Neither tier has the token in the clear."""
    value = fleet.process("a").token().value
    inner: Any = fleet.far._inner
    stored = [*inner.entries.values(), *fleet.nears["a"].entries.values()]
    assert len([entry for entry, _ in stored if len(entry) > 100]) == 2
    assert all(value.encode() not in entry for entry, _ in stored)


@pytest.mark.parametrize(
    ("tiers", "words"),
    [
        ((), "needs at least two caches"),
        (("memory:",), "needs at least two caches"),
        (("memory:", 5), "int is neither a cache nor the URL of a cache"),
        (("memory:", "nonsense"), "no cache has this URL scheme"),
        (("memory:", TieredCache("memory:", "memory:")), "a tier is a single cache"),
        (("redis://127.0.0.1:1", "memory:"), "name the nearest tier first"),
    ],
)
def test_a_wrong_tier_is_explained(tiers: tuple[object, ...], words: str) -> None:
    """Bad input is an error at once."""
    with pytest.raises(ConfigurationError, match=words):
        TieredCache(*tiers)


def open_tiers(folder: Path) -> TokenCache:
    """Two folders as tiers."""
    return TieredCache(DiskTokenCache(folder / "near"), DiskTokenCache(folder / "far"))


@pytest.mark.processes
class TestTieredCache(CacheContract):
    """A tiered cache used directly is its farthest cache, and passes the contract."""

    @pytest.fixture
    def open_cache(self, tmp_path: Path) -> Any:
        """The same two folders in any process."""
        (tmp_path / "tiers").mkdir(mode=0o700)
        return partial(open_tiers, tmp_path / "tiers")


def test_set_and_delete_reach_every_tier() -> None:
    """A tiered cache used directly keeps no entry after it is deleted."""
    tiers = MemoryTokenCache(), MemoryTokenCache()
    cache = TieredCache(*tiers)
    cache.set("key", b"value", 60)
    assert [tier.get("key") for tier in tiers] == [b"value", b"value"]
    cache.delete("key")
    assert [tier.get("key") for tier in tiers] == [None, None]
    cache.close()
