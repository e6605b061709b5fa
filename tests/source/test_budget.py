"""The ledger and the budget."""

from __future__ import annotations

import pytest
from engine_support import OUTAGE, ScriptedServer, SharedMemory, kinds, settle, source_on
from hypothesis import given
from hypothesis import strategies as st

from m2m_auth import MintBudget, MintBudgetExhausted, TokenUnavailable
from m2m_auth.events import Event
from m2m_auth.lifecycle.mint_budget import MintCounts, Spending
from m2m_auth.lifecycle.utc_periods import period_ends_in
from m2m_auth.shared_cache.keys import LedgerKeys
from m2m_auth.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    """A fake clock in the middle of November 2023."""
    return FakeClock()


@pytest.mark.parametrize(
    ("used", "spending"),
    [
        (0, Spending.FREE),
        (79, Spending.FREE),
        (80, Spending.LOW),
        (89, Spending.LOW),
        (90, Spending.RESERVED),
        (99, Spending.RESERVED),
        (100, Spending.EXHAUSTED),
        (5000, Spending.EXHAUSTED),
    ],
)
def test_the_steps_of_a_budget(used: int, spending: Spending) -> None:
    """80 %: low; inside the reserve: reserved; 100 %: exhausted; for the month and for the hour."""
    assert MintBudget(per_month=100).spending(MintCounts(month=used)) is spending
    assert MintBudget(per_month=None, per_hour=100).spending(MintCounts(hour=used)) is spending


@given(st.integers(1, 10_000), st.integers(0, 20_000), st.integers(0, 20_000), st.floats(0, 0.99))
def test_a_budget_never_loosens(limit: int, fewer: int, more: int, reserve: float) -> None:
    """The more was minted, the stricter; never EXHAUSTED below the limit, always at it."""
    budget = MintBudget(per_month=limit, reserve=reserve)
    order = list(Spending)
    low, high = sorted((fewer, more))
    assert order.index(budget.spending(MintCounts(month=low))) <= order.index(budget.spending(MintCounts(month=high)))
    assert (budget.spending(MintCounts(month=low)) is Spending.EXHAUSTED) == (low >= limit)


@given(st.floats(0, 4e9))
def test_periods_end(now: float) -> None:
    """An hour, a day and a month end within their length, and the next counter has another name."""
    names = LedgerKeys("https://tenant.example/oauth/token", "client")
    for period, longest in (("hour", 3600), ("day", 86400), ("month", 31 * 86400)):
        left = period_ends_in(period, now)
        assert 0 < left <= longest
        key, ttl = names.counter(period, "renewal", now)
        assert key != names.counter(period, "renewal", now + left + 1)[0]
        assert len(key) <= 64
        assert ttl >= longest


def test_the_ledger_counts_by_reason(clock: FakeClock) -> None:
    """Every mint is counted per client and reason, failed attempts separately; status() shows both."""
    server = ScriptedServer(lifetime=100)
    source = source_on(server, clock)
    source.token()
    clock.advance(89)
    source.token()
    settle(source)
    source.renew()
    clock.advance(10)
    source.reject(source.token())
    source.token()
    server.down = OUTAGE
    with pytest.raises(TokenUnavailable):
        source.renew()
    ledger = source.status().ledger
    assert ledger.reasons == {"cold": 1, "renewal": 1, "forced": 1, "rejected": 1}
    assert ledger.mints == MintCounts(hour=4, day=4, month=4)
    assert ledger.failed == MintCounts(hour=1, day=1, month=1)


def test_the_ledger_is_shared_and_survives_restarts(clock: FakeClock) -> None:
    """A crash loop of processes without memory, each minting, is counted in the shared cache and stopped."""
    server = ScriptedServer(lifetime=1)
    base = SharedMemory()
    client = f"loop-{id(base)}"
    minted = 0
    for _ in range(30):
        source = source_on(
            server, clock, cache=SharedMemory(base), client_id=client, budget=MintBudget(per_month=None, per_hour=10)
        )
        if minted < 10:
            source.token()
            minted += 1
        else:
            with pytest.raises(MintBudgetExhausted) as caught:
                source.token()
            assert 0 < (caught.value.retry_after or 0) <= 60
        clock.advance(2)
    assert len(server.minted) == 10
    clock.advance(3700)
    fresh = source_on(
        server, clock, cache=SharedMemory(base), client_id=client, budget=MintBudget(per_month=None, per_hour=10)
    )
    assert fresh.token().value == server.minted[-1], "a new hour"


def test_inside_the_reserve_tokens_live_to_their_end(clock: FakeClock) -> None:
    """No optional renewal and no forced mint; a caller without a token still gets one, until 100 %."""
    events: list[Event] = []
    server = ScriptedServer(lifetime=100)
    source = source_on(server, clock, events, budget=MintBudget(per_month=10, reserve=0.5))
    for _ in range(5):
        source.token()
        clock.advance(101)
    held = source.token()
    assert len(server.minted) == 6
    clock.advance(95)
    assert source.token() is held
    settle(source)
    with pytest.raises(MintBudgetExhausted):
        source.renew()
    source.reject(held)
    assert source.token() == held, "a forced mint is not made, so the token lives on"
    assert len(server.minted) == 6
    clock.advance(6)
    assert source.token() != held
    assert "budget_low" in kinds(events)


def test_at_100_percent_nothing_is_minted(clock: FakeClock) -> None:
    """The held token lives to its end; then calls fail at once, and say why."""
    events: list[Event] = []
    server = ScriptedServer(lifetime=100)
    source = source_on(server, clock, events, budget=MintBudget(per_month=2, reserve=0))
    source.token()
    clock.advance(101)
    held = source.token()
    clock.advance(99)
    assert source.token() is held
    settle(source)
    clock.advance(2)
    with pytest.raises(MintBudgetExhausted, match="2 this month"):
        source.token()
    assert len(server.requests) == 2
    assert "budget_exhausted" in kinds(events)
