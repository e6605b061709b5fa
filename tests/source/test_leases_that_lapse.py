"""Caches that cannot compare and delete: a lease is never released, and still delays no process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from engine_steps import ClockedStore, at_once, eventually
from engine_support import OUTAGE, ScriptedServer, settle, source_on

from m2m_auth import TokenEndpointUnavailable, TokenSource
from m2m_auth.caches.protocol import Capabilities
from m2m_auth.testing import FakeClock


class Store(ClockedStore):
    """add is atomic, and there is no release."""

    capabilities = Capabilities(compare_delete=False)

    def beside(self) -> Store:
        """The same store, opened by another process."""
        return Store(self._now, self.entries)

    def delete_if(self, key: str, value: bytes) -> bool:
        """Never called."""
        raise AssertionError("this cache has no delete_if")


class Fleet:
    """Processes on one such cache."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.server, self.store = clock, ScriptedServer(lifetime=1000), Store(clock.monotonic)

    def process(self) -> TokenSource:
        """A source with a token state of its own."""
        return source_on(self.server, self.clock, client_id=f"lapse-{id(self)}", cache=self.store.beside())


@pytest.fixture
def fleet(clock: FakeClock) -> Fleet:
    """A fleet on a fake clock; jitter falls on the early edge."""
    return Fleet(clock)


def test_one_winner(fleet: Fleet) -> None:
    """16 processes, cold and all at once: one mint."""
    fleet.store._lock = fleet.store.beside()._lock
    sources = [fleet.process() for _ in range(16)]
    remaining = iter(sources)
    tokens = at_once(16, lambda: next(remaining).token().value)
    assert len(set(tokens)) == 1
    assert len(fleet.server.requests) == 1


def test_one_mint_for_a_token_that_all_refuse(fleet: Fleet, clock: FakeClock) -> None:
    """8 processes whose token an API refuses, all at once: each writes the tombstone, and one mints."""
    fleet.store._lock = fleet.store.beside()._lock
    sources = [fleet.process() for _ in range(8)]
    old = [source.token() for source in sources].pop()
    clock.advance(6)
    for source in sources:
        source.reject(old)
    remaining = iter(sources)
    tokens = at_once(8, lambda: next(remaining).token().value)
    assert len(set(tokens)) == 1
    assert len(fleet.server.requests) == 2


def test_one_mint_across_the_end_of_the_token(fleet: Fleet, clock: FakeClock) -> None:
    """A renewal is under way when the token ends and leaves the cache: its lease still keeps the others waiting."""
    first, second = fleet.process(), fleet.process()
    first.token()
    second.token()
    clock.advance(995)
    fleet.server.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        pool.submit(first.token)
        eventually(lambda: len(fleet.server.requests) == 2)
        clock.advance(6)
        waiting = pool.submit(second.token)
        eventually(lambda: len(clock.sleeps) > 2)
        fleet.server.gate.set()
        assert waiting.result(20) == first.token()
    assert len(fleet.server.requests) == 2


def test_a_failed_attempt_does_not_keep_the_lease(fleet: Fleet, clock: FakeClock) -> None:
    """The record of the failure ends the holder's turn: after the hold the next process asks, not 15 s later."""
    first, second = fleet.process(), fleet.process()
    fleet.server.script = [OUTAGE, OUTAGE]
    with pytest.raises(TokenEndpointUnavailable):
        first.token()
    clock.advance(1.5)
    before = clock.monotonic()
    assert second.token().value
    assert clock.monotonic() - before < 1
    assert len(fleet.server.requests) == 3


def test_short_lived_tokens_are_renewed_in_time(fleet: Fleet, clock: FakeClock) -> None:
    """Tokens of 4 s under leases of 15 s: each renewal is a turn of its own, and one for all."""
    fleet.server.lifetime = 4
    sources = [fleet.process() for _ in range(3)]
    for _ in range(200):
        clock.advance(0.1)
        for source in sources:
            assert source.token().expires_at > clock.wall()
            settle(source)
    assert 5 <= len(fleet.server.requests) <= 8


def test_a_rejected_token_is_replaced_at_once(fleet: Fleet, clock: FakeClock) -> None:
    """A 401 soon after a mint: the unreleased lease of that mint does not block the next one."""
    source = fleet.process()
    old = source.token()
    clock.advance(6)
    source.reject(old)
    before = clock.monotonic()
    assert source.token() != old
    assert clock.monotonic() == before
