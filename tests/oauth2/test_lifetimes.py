"""How long a token lives: by ``expires_in``, by a JWT's claims, and by default."""

from __future__ import annotations

import base64
import json
import math
import sys
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from token_answers import NOW, granted, unusable

from m2m_auth.oauth2.lifetimes import granted_lifetime, jwt_claims

KEY = "a key of thirty-two bytes or more, for HS256"


def jwt_of(claims: dict[str, Any]) -> str:
    """A signed JWT with these claims."""
    return jwt.encode(claims, KEY, algorithm="HS256")


@pytest.mark.parametrize(
    ("expires_in", "lifetime"),
    [
        (2, 2.0),
        (5, 5.0),
        (3600, 3600.0),
        (0.5, 0.5),
        ("3600", 3600.0),
        (" 3600 ", 3600.0),
        ("3600.5", 3600.5),
        (86400, 86400.0),
        (86401, 86400.0),
        ("86401", 86400.0),
        (10**18, 86400.0),
        (10**300, 86400.0),
        (None, 300.0),
    ],
)
def test_expires_in(expires_in: object, lifetime: float) -> None:
    """Numbers and numeric strings, capped at 24 h; null counts as absent."""
    assert granted({"expires_in": expires_in}).lifetime == lifetime


def test_a_missing_expires_in_means_the_default_lifetime() -> None:
    """It is neither a crash nor a token that never expires."""
    assert granted({}).lifetime == 300.0


@pytest.mark.parametrize(
    "expires_in",
    [
        *[0, -1, -0.0, "0", "-5", True, False, "", "soon", "1h", [3600], {"seconds": 3600}],
        *["nan", "inf", "-inf", 10**400, "9" * 400],
    ],
)
def test_an_expires_in_that_is_no_lifetime_is_refused(expires_in: object) -> None:
    """Zero, negative, bool, not numeric or not finite: the answer is unusable, and the reason names the field."""
    assert "expires_in" in unusable({"access_token": "opaque", "expires_in": expires_in})


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000])
def test_json_numbers_beyond_json_are_refused(literal: str) -> None:
    """Python's json reads these, and none of them is a lifetime."""
    body = b'{"access_token":"opaque","expires_in":' + literal.encode() + b"}"
    assert "expires_in" in unusable(body) or "not a JSON object" in unusable(body)


@pytest.mark.parametrize(
    ("claims", "expires_in", "lifetime"),
    [
        ({"iat": NOW - 60, "exp": NOW + 60}, None, 120.0),
        ({"iat": NOW + 9999, "exp": NOW + 9999 + 50}, None, 50.0),
        ({"exp": NOW + 120}, None, 120.0),
        ({"exp": NOW + 120}, 3600, 120.0),
        ({"iat": NOW - 5000, "exp": NOW - 5000 + 100}, 3600, 100.0),
        ({"iat": NOW - 60, "exp": NOW + 7200}, 3600, 3600.0),
        ({"iat": NOW - 60}, None, 300.0),
        ({"iat": NOW - 60}, 40, 40.0),
        ({"iat": NOW - 60, "exp": NOW + 10 * 86400}, None, 86400.0),
        ({"iat": int(NOW), "exp": int(NOW) + 5}, None, 4.75),
        ({"iat": int(NOW), "exp": int(NOW) + 5}, 5, 4.75),
    ],
    ids=[
        "exp-iat-when-the-server-says-nothing",
        "a-foreign-clock-does-not-matter",
        "without-iat-our-clock-must-do",
        "without-iat-it-shortens",
        "exp-shortens",
        "exp-never-lengthens",
        "no-exp-default",
        "no-exp-expires_in",
        "exp-is-capped",
        "whole-second-iat-counts-from-the-request",
        "whole-second-iat-shortens",
    ],
)
def test_a_jwt_says_its_own_lifetime(claims: dict[str, float], expires_in: int | None, lifetime: float) -> None:
    """``exp - iat``, by the server's clock where there is an ``iat``; it may only shorten ``expires_in``."""
    fields = {"access_token": jwt_of(claims)} | ({} if expires_in is None else {"expires_in": expires_in})
    assert granted(fields).lifetime == pytest.approx(lifetime, abs=1e-6)


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": True},
        {"exp": "soon"},
        {"exp": None},
        {"exp": [1]},
        {"exp": 10**400},
        {"exp": NOW + 60, "iat": "then"},
        {"exp": NOW + 60, "iat": 10**400},
        {"exp": NOW - 60, "iat": NOW - 60},
        {"exp": NOW - 60, "iat": NOW},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"exp": NOW + 60, "iat": float("-inf")},
    ],
)
def test_claims_that_are_no_times_are_ignored(claims: dict[str, Any]) -> None:
    """The token lives as long as the server said; the API judges the claims."""
    payload = json.dumps(claims).encode()
    token = jwt.PyJWS().encode(payload, KEY, algorithm="HS256")
    assert granted({"access_token": token, "expires_in": 40}).lifetime == 40.0
    assert granted({"access_token": token}).lifetime == 300.0


@pytest.mark.parametrize(
    "token",
    [
        "opaque",
        "a.b.c",
        "eyJ.b.c",
        "eyJhbGciOiJub25lIn0.W10.",
        "eyJhbGciOiJub25lIn0.bm90IGpzb24.x",
        "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..iv.text.tag",
        jwt.PyJWS().encode(b'{"exp":' + b"[" * 40_000, KEY, algorithm="HS256"),
        jwt.PyJWS().encode(b'{"exp":' + b"[" * 200_000, KEY, algorithm="HS256"),
        jwt.PyJWS().encode(b'{"exp":' + b"9" * 10_000 + b"}", KEY, algorithm="HS256"),
    ],
    ids=["opaque", "dots", "nonsense", "a-list", "not-json", "jwe", "deeply-nested", "long", "thousands-of-digits"],
)
def test_a_token_that_only_looks_like_a_jwt_is_opaque(token: str) -> None:
    """Nothing is raised; the API reads its own tokens."""
    assert granted({"access_token": token}).lifetime == 300.0


def encoded(raw: bytes) -> str:
    """URL-safe base64 without padding, as JWTs have it (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_a_jwt_is_read_without_a_jwt_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cold mint loads neither PyJWT nor cryptography, which would take longer than the rest of it."""
    token = jwt_of({"exp": NOW + 120})
    monkeypatch.setitem(sys.modules, "jwt", None)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    assert granted({"access_token": token}).lifetime == 120.0


def test_claims_are_read_up_to_a_bound() -> None:
    """65,536 characters are read and one more is not: an access token that long would fit into no header."""
    fits = b'{"exp":1,"x":"' + b"x" * (49_152 - 16) + b'"}'
    assert len(encoded(fits)) == 65_536
    assert jwt_claims(f"eyJ.{encoded(fits)}.")["exp"] == 1
    assert jwt_claims(f"eyJ.{encoded(fits + b' ')}.") == {}


@pytest.mark.parametrize("name", ["a", "ab", "abc", "abcd", "\u00ff\u00fe?>"])
def test_claims_of_every_length_are_read(name: str) -> None:
    """The padding that a JWT leaves out is added, and both characters that base64 and base64url spell differently."""
    claims = {name: "~~~???", "exp": NOW}
    assert jwt_claims(jwt_of(claims)) == claims


@pytest.mark.parametrize(
    "token", ["eyJ.e30", "eyJ.e30.x.y", "eyj.e30.x", "EyJ.e30.x", ".e30.x", "eyJ..x", "eyJ.\u00e9.x"]
)
def test_only_three_parts_that_begin_as_json_are_a_jwt(token: str) -> None:
    """``eyJ`` is the base64 of an opening brace and a quote."""
    shaped = token.replace("e30", encoded(b'{"exp":5}'))
    assert jwt_claims(shaped) == {}


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(max_size=8), JSON, max_size=5))
def test_the_claims_of_any_jwt_read_back(claims: dict[str, Any]) -> None:
    """What a JWT library encodes is what is read."""
    raw = json.dumps(claims).encode()
    assert jwt_claims(jwt.PyJWS().encode(raw, KEY, algorithm="HS256")) == claims


@settings(max_examples=500, deadline=None)
@given(
    st.text(max_size=60)
    | st.text(alphabet="eyJ.-_=+/Aa0", max_size=60).map("eyJ".__add__)
    | st.binary(max_size=60).map(lambda raw: f"eyJ.{encoded(raw)}.x")
    | JSON.map(lambda value: f"eyJ.{encoded(json.dumps(value).encode())}.x")
)
def test_any_text_has_claims_or_none(token: str) -> None:
    """Nothing is raised for text, bytes or JSON of any kind."""
    assert isinstance(jwt_claims(token), dict)


LIFETIME = st.none() | st.floats(-1e12, 1e12) | st.integers() | st.text(max_size=5) | st.booleans()


@settings(max_examples=500, deadline=None)
@given(JSON | LIFETIME, st.dictionaries(st.sampled_from(["exp", "iat"]), JSON | LIFETIME), st.floats(1.0, 1e6))
def test_every_lifetime_is_positive(expires_in: object, claims: dict[str, Any], default: float) -> None:
    """Claims never lengthen ``expires_in``, and the default is for a server that says nothing."""
    if expires_in is not None:
        try:
            granted_lifetime(expires_in, {}, NOW, default)
        except ValueError:
            with pytest.raises(ValueError, match="its expires_in is not a "):
                granted_lifetime(expires_in, claims, NOW, default)
            return
    lifetime = granted_lifetime(expires_in, claims, NOW, default)
    assert 0 < lifetime < math.inf
    if expires_in is not None:
        assert lifetime <= granted_lifetime(expires_in, {}, NOW, default)
    elif "exp" not in claims:
        assert lifetime == default


def test_a_lifetime_counts_by_the_servers_clock_unless_the_clocks_agree() -> None:
    """An ``iat`` from the same second counts from the request; the edges of that second count from ``iat``."""
    sent = 1000.0
    for iat, lifetime in [(1000.0, 60.0), (999.5, 59.5), (999.0, 60.0), (1000.5, 60.0)]:
        assert granted_lifetime(None, {"iat": iat, "exp": iat + 60.0}, sent, 300.0) == lifetime


def test_a_jwt_may_live_for_less_than_a_second() -> None:
    """Any lifetime after now is one."""
    assert granted_lifetime(60, {"iat": 900.0, "exp": 900.5}, 1000.0, 300.0) == 0.5
    assert granted_lifetime(60, {"iat": 900.0, "exp": 900.0}, 1000.0, 300.0) == 60.0


@pytest.mark.parametrize(
    ("expires_in", "message"),
    [("soon", "its expires_in is not a number"), (0, "its expires_in is not a positive number of seconds")],
)
def test_a_wrong_expires_in_is_explained(expires_in: object, message: str) -> None:
    """The words become the end of a sentence about the answer."""
    with pytest.raises(ValueError, match=f"^{message}$"):
        granted_lifetime(expires_in, {}, NOW, 300.0)
