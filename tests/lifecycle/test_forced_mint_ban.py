"""The ban on forced mints: how long it lasts, and when the next one is longer."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2m_auth.lifecycle.forced_mint_ban import (
    FAR_TOO_OFTEN,
    LONGEST_BAN,
    ForcedMintBan,
    Refusal,
    is_no_help,
    is_too_often,
    next_ban,
    refusal_of,
    same_api,
)
from m2m_auth.oauth2.origins import Origin

API: Origin = ("https", "api.example", 443)


def test_the_first_ban_lasts_a_minute() -> None:
    """Nothing came before it."""
    assert next_ban(None, 1000.0) == ForcedMintBan(1060.0, 0)


@pytest.mark.parametrize(
    ("level", "lasts"), [(-1, 60.0), (0, 120.0), (1, 240.0), (6, 7680.0), (7, 14_400.0), (10_000, 14_400.0)]
)
def test_a_ban_that_follows_another_one_lasts_twice_as_long(level: int, lasts: float) -> None:
    """Four hours at most, however many came before."""
    found = next_ban(ForcedMintBan(1000.0, level), 1000.0)
    assert found == ForcedMintBan(1000.0 + lasts, level + 1)
    assert found.length == lasts


@pytest.mark.parametrize(
    ("now", "level"),
    [(500.0, 4), (1000.0, 4), (math.nextafter(15_400.0, 0), 4), (15_400.0, 0), (99_999.0, 0)],
)
def test_four_hours_without_a_ban_end_a_row(now: float, level: int) -> None:
    """At that instant, and later, the next ban is a first one again."""
    assert next_ban(ForcedMintBan(1000.0, 3), now).level == level


def test_a_token_that_works_ends_a_ban_once() -> None:
    """The next ban of the row is longer, and firm; a first one is not."""
    ended = ForcedMintBan(1060.0, 0).ended(1010.0)
    assert ended.until == 1010.0
    following = next_ban(ended, 1020.0)
    assert following == ForcedMintBan(1140.0, 1, firm=True)
    assert next_ban(following, 1140.0).firm
    assert not next_ban(ended, 1010.0 + LONGEST_BAN).firm


@pytest.mark.parametrize(
    ("replaced", "age", "accepted", "early"),
    [
        (None, 0.0, False, 1),
        (None, 99.9, False, 1),
        (None, 100.0, False, 0),
        (Refusal(early=2), 99.9, True, 3),
        (Refusal(early=2), 99.9, False, 2),
        (Refusal(early=2), 100.0, True, 0),
    ],
)
def test_tokens_that_are_refused_early_are_counted(
    replaced: Refusal | None, age: float, accepted: bool, early: int
) -> None:
    """Before a tenth of their life, and only those that the API took before."""
    assert refusal_of(replaced, age, 1000.0, None, accepted=accepted) == Refusal(None, early)


@pytest.mark.parametrize(
    ("replaced", "age", "lifetime", "accepted", "no_help"),
    [
        (None, 0.0, 3600.0, False, False),
        (Refusal(), 0.0, 3600.0, False, True),
        (Refusal(), 359.9, 3600.0, False, True),
        (Refusal(), 360.0, 3600.0, False, False),
        (Refusal(), 0.0, 3600.0, True, False),
        (Refusal(), 59.9, 60.0, False, True),
        (Refusal(), 1.9, 2.0, False, True),
    ],
)
def test_a_new_token_that_was_no_help(
    replaced: Refusal | None, age: float, lifetime: float, accepted: bool, no_help: bool
) -> None:
    """It replaced a refused one, and is refused before it was taken; slow servers do not hide that."""
    assert is_no_help(replaced, age, lifetime, accepted=accepted) is no_help


@pytest.mark.parametrize(
    ("early", "after_a_ban", "too_often"), [(2, True, False), (3, True, True), (5, False, False), (6, False, True)]
)
def test_how_many_of_them_are_too_many(early: int, after_a_ban: bool, too_often: bool) -> None:
    """Six: a morning's deployments may revoke three tokens. While a ban is recent, three."""
    ban = next_ban(None, 0.0) if after_a_ban else None
    assert is_too_often(Refusal(API, early), ban, 1000.0) is too_often
    assert is_too_often(Refusal(API, early), ban, 60.0 + LONGEST_BAN) is (early >= FAR_TOO_OFTEN)


@pytest.mark.parametrize(("early", "level", "firm"), [(2, 0, False), (3, 0, True), (6, 0, True), (9, 3, True)])
def test_they_lead_to_a_firm_ban(early: int, level: int, firm: bool) -> None:
    """And more of them to a longer one."""
    ban = next_ban(None, 0.0, Refusal(API, early))
    assert (ban.level, ban.firm, ban.origin) == (level, firm, API)


@pytest.mark.parametrize(("one", "other", "same"), [(None, None, True), (API, None, True), (API, API, True)])
def test_an_api_that_is_not_known_may_be_any(one: Origin | None, other: Origin | None, same: bool) -> None:
    """Only two known ones differ."""
    assert same_api(one, other) is same
    assert same_api(other, one) is same
    assert not same_api(API, ("https", "api.example", 8443))


@settings(max_examples=200, deadline=None)
@given(
    st.none() | st.builds(ForcedMintBan, st.floats(0, 4e9), st.integers(-1, 10_000), st.booleans()),
    st.floats(0, 4e9),
    st.integers(0, 10_000),
)
def test_a_ban_lasts_between_a_minute_and_four_hours(ban: ForcedMintBan | None, now: float, early: int) -> None:
    """Whatever the clock and the ban before say; and it reads back from JSON."""
    found = next_ban(ban, now, Refusal(API, early))
    assert 60.0 - 1e-6 <= found.until - now <= 14_400.0 + 1e-6
    assert found.level >= 0
    assert ForcedMintBan.from_json(json.loads(json.dumps(found._asdict()))) == found
    assert Refusal.from_json(json.loads(json.dumps(Refusal(API, early)))) == Refusal(API, early)


def test_a_record_of_an_older_version_reads() -> None:
    """It had neither ``firm`` nor ``origin``."""
    assert ForcedMintBan.from_json({"until": 1.0, "level": 2}) == ForcedMintBan(1.0, 2)
    assert Refusal.from_json(None) is None
