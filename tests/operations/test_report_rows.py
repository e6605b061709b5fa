"""``report.rows``: bars in percent and everything else in words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools_support import GALLERY, NOW, report

from m2m_auth import MintBudget
from m2m_auth.lifecycle.mint_budget import MintCounts
from m2m_auth.operations.status_page import BudgetBar, Host, Hour, Life, Mints, Row, Stretch, rows

END_OF_MONTH = 1_701_388_800.0
"""1 December 2023, 00:00 UTC."""


def row(**changes: Any) -> Row:
    """The row of one report."""
    return rows([report(**changes)])[0]


def budget(limit: int, used: int, at: float = NOW, reserve: float = 0.1) -> BudgetBar:
    """The bar of a monthly limit."""
    spent = MintCounts(month=used)
    (bar,) = row(budget=MintBudget(per_month=limit, reserve=reserve), mints=spent, at=at).budgets
    return bar


def test_a_row_in_words() -> None:
    """What the page says of a client that is well."""
    found = row()
    assert found.life == Life(
        fresh=75.0, stale=pytest.approx(23.333, abs=0.01), expiring=pytest.approx(1.667, abs=0.01), now=50.0
    )
    assert (found.state_words, found.expires, found.expires_at) == ("fresh", "in 30 min", "2023-11-14T22:43:20Z")
    assert found.mints == (Mints("hour", 1, 0), Mints("day", 5, 1), Mints("month", 300, 2))
    assert found.reasons == "40 cold, 260 renewal"
    assert found.hosts == (Host("api-1.example", 212, "30 min ago"), Host("api-2.example", 88, "11 h 6 min ago"))
    assert (found.hours[0], found.hours[-1]) == (Hour("23:00", 1, 0), Hour("22:00", 1, 0))
    assert found.stretches == (Stretch("fresh", "22:28"), Stretch("stale", "22:42"), Stretch("expiring", "22:43"))
    assert (found.failure, found.budgets) == ("", ())


def test_each_state_has_words() -> None:
    """None of them is the bare word of the engine but for fresh, and no two are the same."""
    found = {each.state: each.state_words for each in rows(GALLERY)}
    assert set(found) == {"fresh", "stale", "expiring", "none", "expired"}
    assert len(set(found.values())) == 5
    assert all(words.startswith(state) for state, words in found.items() if state != "none")


def test_without_a_token_there_is_no_bar() -> None:
    """No token: no life, no fingerprint, no expiry; nothing is divided by its length."""
    found = rows(GALLERY)[3]
    assert (found.life, found.fingerprint, found.expires, found.expires_at) == (None, "", "-", "")


@given(*[st.none() | st.floats(NOW - 1e5, NOW + 1e5)] * 4, st.floats(NOW - 2e5, NOW + 2e5))
def test_a_life_is_always_a_whole(
    issued: float | None, renew: float | None, expiring: float | None, expires: float | None, at: float
) -> None:
    """Whatever the edges, clocks that disagree included: three shares of 0 to 100 that make 100, and now within."""
    life = row(issued_at=issued, renew_at=renew, expiring_at=expiring, expires_at=expires, at=at).life
    if life is None:
        assert issued is None or expires is None or expires <= issued
        return
    assert all(0 <= share <= 100 for share in life)
    assert sum(life[:3]) == pytest.approx(100)


def test_the_last_failure_and_the_next_attempt() -> None:
    """In words: when it may be tried again, or that it may be now."""
    assert row(last_failure="it answered 503", retry_in=42.0).failure == "it answered 503 (next attempt: in 42 s)"
    assert row(last_failure="it answered 503").failure == "it answered 503 (next attempt: now)"


def test_a_budget_that_lasts() -> None:
    """At the pace of the month so far, 13.93 of 30 days, 300 become 646: below the reserve of 1,000."""
    assert budget(1000, 300) == BudgetBar(
        used=30.0,
        reserve=90.0,
        kept=100,
        words="300 of 1,000 this month; the next begins in 16 d 1 h; 646 by its end at this pace",
        warns=False,
    )


def test_a_budget_that_ends_in_the_reserve() -> None:
    """646 of 700 is more than 90 %: a warning, though it lasts."""
    found = budget(700, 300)
    assert found.warns
    assert "646 by its end" in found.words


def test_a_budget_that_will_not_last() -> None:
    """At 21.5 a day, the 100 that are left of 400 last 4 d 15 h."""
    found = budget(400, 300)
    assert found.warns
    assert found.words.endswith("used up in 4 d 15 h at this pace")


def test_a_budget_that_is_used_up() -> None:
    """No projection any more; the bar is full, and not fuller."""
    found = budget(200, 300)
    assert (found.used, found.warns) == (100.0, True)
    assert found.words == "300 of 200 this month, so it is used up; the next begins in 16 d 1 h"


def test_the_first_day_tells_nothing_of_a_month() -> None:
    """Ten mints in the first hour are no 7,440 in the month: no projection before a day is over."""
    found = budget(1000, 10, at=END_OF_MONTH + 3600)
    assert "pace" not in found.words
    assert not found.warns
    assert "pace" in budget(1000, 10, at=END_OF_MONTH + 86400).words


def test_a_limit_by_the_hour() -> None:
    """A bar of its own, until the hour ends; none for a limit that there is not."""
    (found,) = row(budget=MintBudget(per_month=None, per_hour=2)).budgets
    assert found == BudgetBar(50.0, 90.0, 0, "1 of 2 this hour; the next begins in 46 min 40 s", warns=False)
    assert len(row(budget=MintBudget(per_month=100, per_hour=2)).budgets) == 2
