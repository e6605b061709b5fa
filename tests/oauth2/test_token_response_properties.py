"""Any answer a server could send is read: nothing is raised, and nothing but an OAuth error is repeated."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from token_answers import answer

from m2m_auth.lifecycle.failure import Failure
from m2m_auth.lifecycle.refusals import failure_of
from m2m_auth.oauth2.rate_limit_headers import retry_after
from m2m_auth.oauth2.token_response import TokenResponse

HINTS = [
    "content-type",
    "retry-after",
    "x-ratelimit-reset",
    "x-rate-limit-reset",
    "ratelimit",
    "location",
    "server",
    "x",
]
WORDS = st.text(max_size=30) | st.sampled_from(["7", "-1", "nan", "1e999", "Wed, 21 Oct 2015 07:28:00 GMT", "t=5"])
HEADERS = st.dictionaries(st.sampled_from(HINTS), WORDS)
STATUSES = st.sampled_from([200, 201, 302, 400, 401, 403, 404, 429, 500, 503]) | st.integers(100, 999)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ["access_token", "token_type", "expires_in", "scope", "error", "error_description", "error_uri", "junk"]
OBJECTS = st.dictionaries(st.sampled_from(FIELDS), JSON).map(lambda fields: json.dumps(fields).encode())
CANARY = "canary-5ecret-9f8e7d6c5b4a"


def check(status: int, headers: dict[str, str], body: bytes) -> TokenResponse | Failure:
    """What holds for every answer."""
    found = answer(status, body, headers)
    if isinstance(found, TokenResponse):
        assert 200 <= status < 300
        assert found.token_type == "Bearer"
        assert 0 < found.lifetime <= 86400.0
        assert found.access_token.isascii()
        assert found.access_token.isprintable()
        assert " " not in found.access_token
        return found
    failure = failure_of(found)
    assert failure.message.isprintable()
    assert len(failure.message) < 1100
    assert failure.retry_after is None or 0 <= failure.retry_after <= 3600
    assert Failure.from_json(json.loads(json.dumps(failure.to_json()))) == failure
    assert str(failure.error()) == failure.message
    return failure


@settings(max_examples=300, deadline=None)
@given(STATUSES, HEADERS, st.binary(max_size=200))
def test_any_bytes(status: int, headers: dict[str, str], body: bytes) -> None:
    """Noise is a failure, not an exception."""
    check(status, headers, body)


@settings(max_examples=400, deadline=None)
@given(STATUSES, HEADERS, OBJECTS)
@example(200, {}, b'{"access_token":"x","expires_in":1e400}')
@example(200, {}, b'{"access_token":"\\ud800"}')
def test_any_json_object(status: int, headers: dict[str, str], body: bytes) -> None:
    """Known fields with the wrong types are a failure, too."""
    check(status, headers, body)


@settings(max_examples=200, deadline=None)
@given(STATUSES, st.sampled_from(FIELDS), st.sampled_from(FIELDS), st.booleans())
def test_nothing_but_the_words_of_an_error_is_echoed(status: int, first: str, second: str, nested: bool) -> None:
    """A canary in any other field, or around the JSON, never reaches a message, a fact or a repr."""
    value: Any = {"x": CANARY} if nested else CANARY
    for body in (json.dumps({first: value, second: value}), f"<html>{CANARY}", CANARY, json.dumps([CANARY])):
        found = check(status, {"content-type": f"text/{CANARY * 3}"}, body.encode())
        shown = repr(found) if isinstance(found, TokenResponse) else repr(found) + repr(vars(found.error()))
        if not {first, second} & {"error", "error_description", "error_uri"} or nested:
            assert CANARY not in shown


@settings(max_examples=400, deadline=None)
@given(HEADERS, st.floats(0, 5e9))
def test_retry_after_is_never_negative_nor_longer_than_an_hour(headers: dict[str, str], now: float) -> None:
    """No server can silence a client for longer, or make it hammer with a time in the past."""
    wait = retry_after(headers, now)
    assert wait is None or 0 <= wait <= 3600


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="0123456789 ,:;+-.GMTWedOct\u0660\x00\n", max_size=40))
def test_any_date_like_text_is_a_time_or_nothing(text: str) -> None:
    """The standard library's date parser raises many exceptions for many texts; none of them reaches the caller."""
    for name in ("retry-after", "x-ratelimit-reset", "ratelimit-reset", "ratelimit", "auth0-client-quota-limit"):
        wait = retry_after({name: text}, 1.7e9)
        assert wait is None or 0 <= wait <= 3600
