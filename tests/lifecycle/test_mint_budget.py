"""MintBudget: what it allows after how many mints, when a limit begins afresh, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2m_auth import ConfigurationError, MintBudget
from m2m_auth.lifecycle.mint_budget import MintCounts, Spending

FREE, LOW, RESERVED, EXHAUSTED = Spending


def test_the_defaults() -> None:
    """A thousand mints a month, a tenth of them kept for callers without a token."""
    assert MintBudget() == MintBudget(per_month=1000, per_hour=None, reserve=0.1)
    assert MintCounts() == MintCounts(hour=0, day=0, month=0)


@pytest.mark.parametrize(
    ("used", "spending"),
    [(0, FREE), (79, FREE), (80, LOW), (89, LOW), (90, RESERVED), (99, RESERVED), (100, EXHAUSTED), (101, EXHAUSTED)],
)
def test_a_limit_has_three_edges(used: int, spending: Spending) -> None:
    """At 80 % there is a warning, from 90 % on the reserve, and at 100 % the end; for an hour as for a month."""
    assert MintBudget(per_month=100).spending(MintCounts(month=used, hour=used)) is spending
    assert MintBudget(per_month=None, per_hour=100).spending(MintCounts(hour=used, month=10**9)) is spending


@pytest.mark.parametrize(
    ("month", "hour", "spending"),
    [
        (0, 8, LOW),
        (80, 0, LOW),
        (80, 9, RESERVED),
        (90, 8, RESERVED),
        (90, 0, RESERVED),
        (90, 10, EXHAUSTED),
        (100, 0, EXHAUSTED),
        (80, 8, LOW),
    ],
)
def test_the_stricter_limit_counts(month: int, hour: int, spending: Spending) -> None:
    """A quiet month does not excuse a busy hour, and the other way round."""
    budget = MintBudget(per_month=100, per_hour=10)
    assert budget.spending(MintCounts(month=month, hour=hour)) is spending


@pytest.mark.parametrize(("reserve", "used", "spending"), [(0, 99, LOW), (0.5, 50, RESERVED), (0.5, 49, FREE)])
def test_the_reserve_is_a_share_of_the_limit(reserve: float, used: int, spending: Spending) -> None:
    """None at all, or half."""
    assert MintBudget(per_month=100, reserve=reserve).spending(MintCounts(month=used)) is spending


NOV_27 = 1_795_816_800.0  # 2026-11-27 22:00:00 UTC


@pytest.mark.parametrize(
    ("budget", "counts", "wait"),
    [
        (MintBudget(per_month=5), MintCounts(month=5), 3 * 86400.0 + 7200.0 - 600.0),
        (MintBudget(per_month=5), MintCounts(month=6), 3 * 86400.0 + 7200.0 - 600.0),
        (MintBudget(per_month=5, per_hour=2), MintCounts(month=4, hour=2), 3000.0),
        (MintBudget(per_month=5, per_hour=2), MintCounts(month=5, hour=2), 3 * 86400.0 + 7200.0 - 600.0),
        (MintBudget(per_month=None, per_hour=2), MintCounts(month=99, hour=2), 3000.0),
    ],
)
def test_a_used_up_limit_begins_afresh_with_its_period(budget: MintBudget, counts: MintCounts, wait: float) -> None:
    """The UTC month's end if the month is used up, else the hour's."""
    assert budget.renews_in(counts, NOV_27 + 600.0) == wait


@pytest.mark.parametrize("name", ["per_month", "per_hour"])
@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "1000", math.nan])
def test_a_limit_is_a_whole_number(name: str, limit: object) -> None:
    """At least 1, and no truth value; the message names the field."""
    fields: dict[str, Any] = {name: limit}
    with pytest.raises(ConfigurationError) as caught:
        MintBudget(**fields)
    assert str(caught.value) == f"budget.{name}={limit!r} must be a whole number of at least 1, or None"


@pytest.mark.parametrize("reserve", [-0.1, 1, 1.0, 2, math.nan])
def test_a_reserve_is_less_than_the_limit(reserve: float) -> None:
    """A reserve of everything would allow no renewal at all."""
    with pytest.raises(ConfigurationError) as caught:
        MintBudget(reserve=reserve)
    assert str(caught.value) == f"budget.reserve={reserve!r} must be at least 0 and less than 1"


def test_a_budget_without_a_limit_is_refused() -> None:
    """It would be no budget; the message has the fix."""
    with pytest.raises(ConfigurationError) as caught:
        MintBudget(per_month=None)
    assert str(caught.value) == "budget has no limit. Fix: per_month= or per_hour=, or leave budget= out"


def test_the_edges_of_what_is_allowed() -> None:
    """The smallest limit, no reserve, and nearly everything."""
    MintBudget(per_month=1, per_hour=1, reserve=0)
    MintBudget(reserve=0.999)


def test_a_budget_cannot_change() -> None:
    """Several sources may share one."""
    with pytest.raises(AttributeError):
        MintBudget().per_month = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        MintCounts(1, 2, 3)  # type: ignore[misc]


LIMITS = st.none() | st.integers(1, 10_000)


@settings(max_examples=300, deadline=None)
@given(LIMITS, st.integers(1, 10_000), st.floats(0, 0.99), st.integers(0, 12_000), st.integers(0, 12_000))
def test_more_mints_never_allow_more(month: int | None, hour: int, reserve: float, by_month: int, by_hour: int) -> None:
    """After more mints never more is allowed, and exactly at a limit nothing is."""
    budget = MintBudget(per_month=month, per_hour=hour, reserve=reserve)
    order = [*Spending]
    now = budget.spending(MintCounts(month=by_month, hour=by_hour))
    later = budget.spending(MintCounts(month=by_month + 1, hour=by_hour + 1))
    assert order.index(now) <= order.index(later)
    assert (now is EXHAUSTED) is (by_hour >= hour or (month is not None and by_month >= month))
