"""What a server says about its quota before it is used up (``Auth0-Client-Quota-Limit``)."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from token_answers import answer

from m2m_auth.oauth2.rate_limit_headers import quota_is_low, retry_after
from m2m_auth.oauth2.token_response import TokenResponse

HEADER = "auth0-client-quota-limit"


@pytest.mark.parametrize(
    ("header", "low"),
    [
        ("b=per_hour;q=100;r=99;t=60", False),
        ("b=per_hour;q=100;r=11;t=60", False),
        ("b=per_hour;q=100;r=10;t=60", True),
        ("b=per_hour;q=100;r=0;t=60", True),
        ("b=per_hour;q=100;r=99;t=60, b=per_day;q=1000;r=3;t=6000", True),
        ("b=per_hour;q=100;r=99;t=60,b=per_day;q=1000;r=900;t=6000", False),
        ("b=per_hour;q=100;r=3;t=60,b=per_day;q=1000;r=900;t=6000", True),
        ("q=100; r=5", True),
        ("r=0", False),
        ("q=100", False),
        ("", False),
        ("nonsense", False),
    ],
)
def test_little_is_a_tenth_of_any_bucket(header: str, low: bool) -> None:
    """The scarcest bucket counts; a header without both numbers says nothing."""
    assert quota_is_low({HEADER: header}) is low
    assert quota_is_low({"auth0-organization-quota-limit": header}) is low


@pytest.mark.parametrize(
    "text", ["Tue, 14 Nov 2023 22:13:40 GMT", "Tue, 14 Nov 2023 22:13:40 -0000", "2023-11-14T22:13:40Z"]
)
def test_a_date_says_when_to_come_back(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9110's date; one without a zone, which is UTC and not the machine's; and JSON's, which some servers send."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert retry_after({"retry-after": text}, 1_700_000_000.0) == 20.0
        assert retry_after({"x-ratelimit-reset": text}, 1_700_000_000.0) == 20.0
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("left", [3, 90])
def test_a_grant_carries_it(left: int) -> None:
    """It comes with the token, so that optional renewals of the token wait."""
    found = answer(200, {"access_token": "x"}, {"Auth0-Client-Quota-Limit": f"b=per_hour;q=100;r={left};t=60"})
    assert isinstance(found, TokenResponse)
    assert found.quota_low is (left == 3)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40) | st.text(alphabet="bqrt=;, 0123456789\u0663", max_size=60))
def test_any_header_is_read(header: str) -> None:
    """Nothing is raised for any text."""
    assert quota_is_low({HEADER: header}) in (True, False)
