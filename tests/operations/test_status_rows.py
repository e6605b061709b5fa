"""``rows``: a report as bars in percent, and everything else in words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from operations_support import GALLERY, NOW, report

from m2m_auth import MintBudget
from m2m_auth.lifecycle.mint_budget import MintCounts
from m2m_auth.operations import BudgetBar, HostRow, HourBar, LifeStretch, PeriodMints, StatusRow, TokenLife, rows

END_OF_MONTH = 1_701_388_800.0
"""1 December 2023, 00:00 UTC."""


def row(**changes: Any) -> StatusRow:
    """The row of one report."""
    return rows([report(**changes)])[0]


def budget(limit: int, used: int, at: float = NOW, reserve: float = 0.1) -> BudgetBar:
    """The bar of a monthly limit."""
    spent = MintCounts(month=used)
    (bar,) = row(budget=MintBudget(per_month=limit, reserve=reserve), mints=spent, at=at).budgets
    return bar


def test_a_row_in_words() -> None:
    """The row of a healthy client."""
    found = row()
    assert found.life == TokenLife(
        fresh=75.0, stale=pytest.approx(23.333, abs=0.01), expiring=pytest.approx(1.667, abs=0.01), now=50.0
    )
    assert (found.state_words, found.expires, found.expires_at) == ("fresh", "in 30 min", "2023-11-14T22:43:20Z")
    assert found.mints == (
        PeriodMints(period="hour", minted=1, failed=0),
        PeriodMints(period="day", minted=5, failed=1),
        PeriodMints(period="month", minted=300, failed=2),
    )
    assert found.reasons == "40 cold, 260 renewal"
    assert found.hosts == (
        HostRow(name="api-1.example", mints=212, last="30 min ago"),
        HostRow(name="api-2.example", mints=88, last="11 h 6 min ago"),
    )
    assert (found.hours[0], found.hours[-1]) == (
        HourBar(began="23:00", minted=1, failed=0),
        HourBar(began="22:00", minted=1, failed=0),
    )
    assert found.stretches == (
        LifeStretch(state="fresh", until="22:28"),
        LifeStretch(state="stale", until="22:42"),
        LifeStretch(state="expiring", until="22:43"),
    )
    assert (found.failure, found.budgets) == ("", ())


def test_each_state_has_words() -> None:
    """Each state but ``none`` begins with its name, and no two states have the same words."""
    found = {each.state: each.state_words for each in rows(GALLERY)}
    assert set(found) == {"fresh", "stale", "expiring", "none", "expired"}
    assert len(set(found.values())) == 5
    assert all(words.startswith(state) for state, words in found.items() if state != "none")


def test_without_a_token_there_is_no_bar() -> None:
    """Without a token there is no life, fingerprint or expiry."""
    found = rows(GALLERY)[3]
    assert (found.life, found.fingerprint, found.expires, found.expires_at) == (None, "", "-", "")


@given(*[st.none() | st.floats(NOW - 1e5, NOW + 1e5)] * 4, st.floats(NOW - 2e5, NOW + 2e5))
def test_a_life_is_always_a_whole(
    issued: float | None, renew: float | None, expiring: float | None, expires: float | None, at: float
) -> None:
    """For any edges, those of wrong clocks included, the three shares are 0 to 100 and add up to 100."""
    life = row(issued_at=issued, renew_at=renew, expiring_at=expiring, expires_at=expires, at=at).life
    if life is None:
        assert issued is None or expires is None or expires <= issued
        return
    shares = life.fresh, life.stale, life.expiring
    assert all(0 <= share <= 100 for share in (*shares, life.now))
    assert sum(shares) == pytest.approx(100)


def test_the_last_failure_and_the_next_attempt() -> None:
    """The failure has the time of the next attempt, or ``now``."""
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
    """A used-up budget has no projection, and its bar is full."""
    found = budget(200, 300)
    assert (found.used, found.warns) == (100.0, True)
    assert found.words == "300 of 200 this month, so it is used up; the next begins in 16 d 1 h"


def test_no_projection_on_the_first_day() -> None:
    """Ten mints in the first hour do not make 7,440 a month: there is no projection on the first day."""
    found = budget(1000, 10, at=END_OF_MONTH + 3600)
    assert "pace" not in found.words
    assert not found.warns
    assert "pace" in budget(1000, 10, at=END_OF_MONTH + 86400).words


def test_a_limit_by_the_hour() -> None:
    """An hourly limit has its own bar; a limit that is not set has none."""
    (found,) = row(budget=MintBudget(per_month=None, per_hour=2)).budgets
    assert found == BudgetBar(
        used=50.0, reserve=90.0, kept=0, words="1 of 2 this hour; the next begins in 46 min 40 s", warns=False
    )
    assert len(row(budget=MintBudget(per_month=100, per_hour=2)).budgets) == 2
