"""UTC periods: their key suffixes, their edges, and how long their counters are kept."""

from __future__ import annotations

import math
import time
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2m_auth.lifecycle.utc_periods import PERIODS, UtcPeriod, period_ends_in, utc_period

NAMES = ("minute", *PERIODS)


def at(*parts: int) -> float:
    """Unix time of a UTC date and time."""
    return datetime(*parts, tzinfo=timezone.utc).timestamp()  # type: ignore[misc, arg-type]


NOW = at(2024, 2, 29, 23, 59, 30) + 0.25


@pytest.mark.parametrize(
    ("name", "now", "period"),
    [
        ("minute", NOW, UtcPeriod("202402292359", at(2024, 2, 29, 23, 59), at(2024, 3, 1), 120.0)),
        ("hour", NOW, UtcPeriod("2024022923", at(2024, 2, 29, 23), at(2024, 3, 1), 7200.0)),
        ("day", NOW, UtcPeriod("20240229", at(2024, 2, 29), at(2024, 3, 1), 172800.0)),
        ("month", NOW, UtcPeriod("202402", at(2024, 2, 1), at(2024, 3, 1), 32 * 86400.0)),
        ("month", at(2025, 12, 31), UtcPeriod("202512", at(2025, 12, 1), at(2026, 1, 1), 32 * 86400.0)),
        ("month", at(2026, 1, 31, 12), UtcPeriod("202601", at(2026, 1, 1), at(2026, 2, 1), 32 * 86400.0)),
        ("month", at(2026, 4, 1, 0, 0, 1), UtcPeriod("202604", at(2026, 4, 1), at(2026, 5, 1), 32 * 86400.0)),
        ("day", at(2026, 5, 7, 11, 22, 33), UtcPeriod("20260507", at(2026, 5, 7), at(2026, 5, 8), 172800.0)),
        ("hour", at(2026, 5, 7, 11, 22, 33), UtcPeriod("2026050711", at(2026, 5, 7, 11), at(2026, 5, 7, 12), 7200.0)),
    ],
)
def test_a_period_has_a_suffix_and_two_edges(name: str, now: float, period: UtcPeriod) -> None:
    """A leap day, the ends of a day, a month and a year, and a moment in the middle of an hour."""
    assert utc_period(name, now) == period
    assert period_ends_in(name, now) == period.end - now


def test_a_ledger_counts_by_hour_day_and_month() -> None:
    """A minute is for rate limits only."""
    assert PERIODS == ("hour", "day", "month")


@pytest.mark.parametrize("name", NAMES)
def test_an_edge_belongs_to_the_period_that_begins(name: str) -> None:
    """The last instant that a clock can show is still in the old period, with time left."""
    edge = at(2026, 11, 1)
    last = math.nextafter(edge, 0.0)
    assert utc_period(name, last).end == utc_period(name, edge).start == edge
    assert utc_period(name, last).key_suffix != utc_period(name, edge).key_suffix
    assert period_ends_in(name, last) > 0.0


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/St_Johns"])
def test_the_hosts_time_zone_does_not_matter(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts in two zones count in one counter; these zones are off by a quarter and a half of an hour."""
    expected = [utc_period(name, NOW) for name in NAMES]
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        found = [utc_period(name, NOW) for name in NAMES]
    finally:
        monkeypatch.undo()
        time.tzset()
    assert found == expected


def test_an_unknown_period_is_a_mistake() -> None:
    """A misspelt name counts nothing under a wrong key."""
    with pytest.raises(KeyError):
        utc_period("week", NOW)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(NAMES), st.floats(0.0, 4e9))
def test_every_moment_is_in_its_period(name: str, now: float) -> None:
    """The period includes the moment, is kept for longer than it lasts, and the next one begins where it ends."""
    period = utc_period(name, now)
    assert period.start <= now < period.end
    assert period.kept > period.end - period.start
    after = utc_period(name, period.end)
    assert after.start == period.end
    assert after.key_suffix > period.key_suffix
