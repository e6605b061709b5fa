"""How long a token lives: every row of BEHAVIOUR §1, "Lifetime"."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from answers import NOW, failed, granted

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
    """Numbers and numeric strings, capped at 24 h; null is as good as absent."""
    assert granted({"expires_in": expires_in}).lifetime == lifetime


def test_a_missing_expires_in_means_the_default_lifetime() -> None:
    """Neither a crash nor a token that never expires (EXEMPLARS, fault 14)."""
    assert granted({}).lifetime == 300.0


@pytest.mark.parametrize(
    "expires_in",
    [
        *[0, -1, -0.0, "0", "-5", True, False, "", "soon", "1h", [3600], {"seconds": 3600}],
        *["nan", "inf", "-inf", 10**400, "9" * 400],
    ],
)
def test_an_expires_in_that_is_no_lifetime_is_refused(expires_in: object) -> None:
    """Zero, negative, bool, not numeric or not finite: the answer is malformed, and it says which field."""
    failure = failed(200, {"access_token": "opaque", "expires_in": expires_in})
    assert failure.error_class == "MalformedTokenResponse"
    assert "expires_in" in failure.message


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000])
def test_json_numbers_beyond_json_are_refused(literal: str) -> None:
    """Python's json reads these; a lifetime they are not."""
    body = b'{"access_token":"opaque","expires_in":' + literal.encode() + b"}"
    assert failed(200, body).error_class == "MalformedTokenResponse"


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
def test_odd_claims_are_as_good_as_none(claims: dict[str, Any]) -> None:
    """Claims that are not times are left to the API to judge; the token lives as the server said."""
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
        jwt.PyJWS().encode(b'{"exp":' + b"[" * 200_000, KEY, algorithm="HS256"),
        jwt.PyJWS().encode(b'{"exp":' + b"9" * 10_000 + b"}", KEY, algorithm="HS256"),
    ],
    ids=["opaque", "dots", "nonsense", "a-list", "not-json", "jwe", "deeply-nested", "thousands-of-digits"],
)
def test_a_token_that_only_looks_like_a_jwt_is_opaque(token: str) -> None:
    """Whatever the token is made of, it is the API's business; nothing is raised."""
    assert granted({"access_token": token}).lifetime == 300.0
