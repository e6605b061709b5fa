"""The ban on forced mints: how long it lasts, and when the next one is longer."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2m_auth.lifecycle.forced_mint_ban import ForcedMintBan, next_ban


def test_the_first_ban_lasts_a_minute() -> None:
    """Nothing came before it."""
    assert next_ban(None, 1000.0) == ForcedMintBan(1060.0, 0)


@pytest.mark.parametrize(("level", "lasts"), [(0, 120.0), (1, 240.0), (2, 300.0), (3, 300.0), (10_000, 300.0)])
def test_a_ban_that_follows_another_one_lasts_twice_as_long(level: int, lasts: float) -> None:
    """Five minutes at most, however many came before."""
    assert next_ban(ForcedMintBan(1000.0, level), 1000.0) == ForcedMintBan(1000.0 + lasts, level + 1)


@pytest.mark.parametrize(
    ("now", "level"), [(500.0, 4), (1000.0, 4), (math.nextafter(1300.0, 0), 4), (1300.0, 0), (9999.0, 0)]
)
def test_five_minutes_without_a_ban_end_a_row(now: float, level: int) -> None:
    """At that instant, and later, the next ban is a first one again."""
    assert next_ban(ForcedMintBan(1000.0, 3), now).level == level


@settings(max_examples=200, deadline=None)
@given(
    st.none() | st.builds(ForcedMintBan, st.floats(0, 4e9), st.integers(0, 10_000)),
    st.floats(0, 4e9),
)
def test_a_ban_lasts_between_one_and_five_minutes(ban: ForcedMintBan | None, now: float) -> None:
    """Whatever the clock and the ban before say."""
    found = next_ban(ban, now)
    assert 60.0 - 1e-6 <= found.until - now <= 300.0 + 1e-6
    assert found.level >= 0
