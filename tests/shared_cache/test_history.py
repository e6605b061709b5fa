"""``MintHistory``: which hosts minted and what each hour brought; bounded, and whole after a trip through JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2m_auth.shared_cache.mint_history import HourCounts, MintHistory

NOW = 1_700_000_000.0
"""Tuesday, 14 November 2023, 22:13:20 UTC."""
HOUR, DAY = 3600.0, 86400.0
STEPS = st.lists(st.tuples(st.sampled_from([f"web-{number}" for number in range(30)]), st.floats(0, 40 * DAY)))


@given(STEPS)
def test_it_stays_small_and_knows_the_latest(steps: list[tuple[str, float]]) -> None:
    """At most 16 hosts and 24 hours whatever happens; the last host is among them; JSON loses nothing."""
    history = MintHistory()
    for host, ago in sorted(steps, key=lambda step: -step[1]):
        history = history.with_mint(host, NOW - ago).with_failure(NOW - ago)
        assert host in {each.host for each in history.hosts}
    assert len(history.hosts) <= 16
    assert len(history.hours) <= 24
    assert MintHistory.from_json(json.loads(json.dumps(history.to_json()))) == history
    recent = [ago for _, ago in steps if (NOW - ago) // HOUR > NOW // HOUR - 24]
    latest = min((ago for _, ago in steps), default=0.0)
    if latest < HOUR:
        assert sum(each.minted for each in history.last_hours(NOW)) == len(recent)
        assert sum(each.failed for each in history.last_hours(NOW)) == len(recent)


def test_of_many_hosts_the_oldest_is_forgotten() -> None:
    """The 17th host takes the place of the one that minted longest ago; one that mints again is new again."""
    history = MintHistory()
    for number in range(16):
        history = history.with_mint(f"pod-{number}", NOW + number)
    history = history.with_mint("pod-0", NOW + 20).with_mint("pod-16", NOW + 21)
    assert [each.host for each in history.this_month(NOW + 30)] == [
        *("pod-16", "pod-0"),
        *(f"pod-{number}" for number in range(15, 1, -1)),
    ]
    assert history.this_month(NOW + 30)[1].mints == 2


def test_mints_are_counted_by_the_month() -> None:
    """In December a host of November has none; when it mints, one."""
    history = MintHistory().with_mint("web-1", NOW).with_mint("web-1", NOW + 5)
    (november,), december = history.this_month(NOW + 10), NOW + 20 * DAY
    assert (november.mints, november.last_at) == (2, NOW + 5)
    assert [each.mints for each in history.this_month(december)] == [0]
    assert [each.mints for each in history.with_mint("web-1", december).this_month(december)] == [1]


def test_hours_stand_where_they_belong() -> None:
    """The current hour is the last of 24; older hours are gone, hours without an attempt are zero."""
    history = MintHistory().with_mint("a", NOW - 24 * HOUR).with_mint("a", NOW - 23 * HOUR).with_failure(NOW - HOUR)
    history = history.with_mint("a", NOW).with_mint("b", NOW)
    hours = history.last_hours(NOW)
    assert len(hours) == 24
    assert (hours[0], hours[22], hours[23]) == (HourCounts(minted=1), HourCounts(failed=1), HourCounts(minted=2))
    assert set(hours[1:22]) == {HourCounts()}
    assert history.last_hours(NOW + HOUR)[22] == HourCounts(minted=2)


def test_a_long_name_is_cut() -> None:
    """A host's name may be of any length; 64 characters of it are kept."""
    assert MintHistory().with_mint("x" * 500, NOW).hosts[0].host == "x" * 64


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["hosts", "hours"]), inner),
    max_leaves=8,
)


@settings(max_examples=300)
@given(JSON | st.fixed_dictionaries({"hosts": JSON, "hours": JSON}))
def test_anything_else_is_refused_or_harmless(data: object) -> None:
    """Other JSON raises one of the four errors that the reader expects; what passes can be shown."""
    try:
        history = MintHistory.from_json(data)
    except (KeyError, TypeError, ValueError, OverflowError):
        return
    history.this_month(NOW)
    history.last_hours(NOW)
    history.with_mint("a", NOW)


@pytest.mark.parametrize("last_at", ["NaN", "Infinity", "1e300", "-1e300"])
def test_a_time_that_is_none_is_refused(last_at: str) -> None:
    """A page could not show it."""
    with pytest.raises((ValueError, OverflowError)):
        MintHistory.from_json(json.loads(f'{{"hosts": [["a", 1, {last_at}]], "hours": []}}'))
