"""How long a token lives: by ``expires_in``, by a JWT's claims, and by default."""

from __future__ import annotations

import base64
import json
import sys
from email.utils import formatdate
from typing import Any

import jwt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from token_answers import NOW, answer, granted

from m2m_auth.oauth2.answer_rules import AnswerRules
from m2m_auth.oauth2.dates import unix_time
from m2m_auth.oauth2.lifetimes import granted_lifetime, jwt_claims
from m2m_auth.oauth2.token_response import TokenResponse

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
        ("3600.0", 3600.0),
        ("3600s", 3600.0),
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
    ("expires_in", "why"),
    [
        *[(0, "0 or less"), (-1, "0 or less"), (-0.0, "0 or less"), ("0", "0 or less"), ("-5", "0 or less")],
        *[("-inf", "0 or less"), (-(10**400), "0 or less"), ("", "no number"), (" ", "no number"), ("1h", "no number")],
        *[("soon", "no number"), ("nan", "no number"), (True, "no number"), (False, "no number")],
        *[([3600], "no number"), ({"seconds": 3600}, "no number")],
    ],
)
def test_an_expires_in_that_cannot_be_meant_leads_to_the_default(expires_in: object, why: str) -> None:
    """The token is good and is paid for: it is used for the default lifetime, and the answer says why."""
    found = granted({"expires_in": expires_in})
    assert (found.lifetime, found.lifetime_assumed) == (300.0, f"expires_in is {why}")
    assert found.has_ended


def test_a_lifetime_that_the_server_says_is_not_assumed() -> None:
    """By expires_in, or by the JWT; a server that says nothing has not said that the token is at its end."""
    assert granted({"expires_in": 5}).lifetime_assumed == ""
    assert granted({"access_token": jwt_of({"exp": NOW + 120})}).lifetime_assumed == ""
    assert granted({}).lifetime_assumed == "no expires_in"
    assert not granted({}).has_ended


@pytest.mark.parametrize("literal", ["Infinity", "1e999", "9" * 400, "9" * 5000, '"inf"', f'"{"9" * 400}"'])
def test_a_number_beyond_all_numbers_is_capped(literal: str) -> None:
    """Python's json refuses an integer of 5,000 digits, and with it the whole answer."""
    found = answer(200, b'{"access_token":"opaque","expires_in":' + literal.encode() + b"}")
    assert isinstance(found, TokenResponse)
    assert (found.lifetime, found.lifetime_assumed) == (86400.0, "")


@pytest.mark.parametrize("name", ["expires_at", "expires_on", "expires"])
@pytest.mark.parametrize(
    "end",
    [
        *[int(NOW) + 600, float(int(NOW) + 600), str(int(NOW) + 600), f" {int(NOW) + 600}.0 "],
        *[(int(NOW) + 600) * 1000, str((int(NOW) + 600) * 1000)],
        *["2023-11-14T22:23:20Z", "2023-11-14t22:23:20z", "2023-11-14 22:23:20", "2023-11-14T22:23:20.1234567Z"],
        *["2023-11-14T22:23:20+00:00", "2023-11-14T23:53:20+01:30", "2023-11-14T17:23:20.5-0500"],
        *["2023-11-14 22:23:20 UTC", "Tue, 14 Nov 2023 22:23:20 GMT"],
        *["11/14/2023 10:23:20 PM +00:00", "11/14/2023 22:23:20 PM +00:00", "11/14/2023 22:23:20 +00:00"],
    ],
)
def test_an_end_instead_of_a_lifetime(name: str, end: object) -> None:
    """Unix time in seconds or milliseconds, RFC 3339, or an HTTP date: the end, less the time of the request."""
    found = granted({name: end})
    assert (found.lifetime, found.lifetime_assumed) == (599.75, "")


@pytest.mark.parametrize(
    "name", ["expiration", "expiry", "expiresAt", "ExpiresOn", ".expires", "expires-at", "expireTime", "expire", "exp"]
)
def test_an_end_under_whatever_name(name: str) -> None:
    """IBM IAM says ``expiration``, Google's service accounts ``expireTime``, OWIN ``.expires``, Go ``expiry``."""
    assert granted({name: int(NOW) + 600}).lifetime == 599.75
    assert granted({name: "soon"}).lifetime_assumed == f"{name} is no time to come"


@pytest.mark.parametrize("name", ["expiresIn", "ExpiresIn", "expires-in"])
def test_a_lifetime_in_another_spelling(name: str) -> None:
    """Where ``token_field="accessToken"`` is set, the lifetime beside it is spelled alike."""
    assert granted({name: "60", "expires_at": int(NOW) + 600}).lifetime == 60.0


@pytest.mark.parametrize("end", ["2023-11-14T22:23:20Z", "Tue, 14 Nov 2023 22:23:20 GMT"])
def test_a_date_in_expires_in_is_an_end(end: str) -> None:
    """It cannot mean anything else."""
    assert granted({"expires_in": end}).lifetime == 599.75


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("12:05:00 AM", 0),
        ("1:05:00 AM", 1),
        ("12:05:00 PM", 12),
        ("1:05:00 PM", 13),
        ("00:05:00 PM", 0),
        ("13:05:00", 13),
    ],
)
def test_the_hours_of_app_service(text: str, hour: int) -> None:
    """Windows hosts count to 12, Linux hosts to 24 with a PM that says nothing."""
    assert unix_time(f"11/14/2023 {text} +00:00") == unix_time(f"2023-11-14T{hour:02}:05:00Z")


@pytest.mark.parametrize("end", [600, "600", 600.0])
def test_a_small_end_is_a_number_of_seconds(end: object) -> None:
    """Facebook's ``expires`` counted seconds; a Unix time of 1970 cannot be meant."""
    assert granted({"expires": end}).lifetime == 600.0


@pytest.mark.parametrize("name", ["expires_at", "expires_on", "expires"])
@pytest.mark.parametrize(
    "end", ["", "soon", 0, -1, True, [1], int(NOW) - 5, "2013-11-14T22:23:20Z", "2023-13-41T22:23:20Z", "nan"]
)
def test_an_end_that_is_no_time_to_come_leads_to_the_default(name: str, end: object) -> None:
    """Past, or not a time at all."""
    found = granted({name: end})
    assert (found.lifetime, found.lifetime_assumed) == (300.0, f"{name} is no time to come")


def test_the_first_end_that_can_be_read_counts() -> None:
    """An expires_in before all ends; an end before the default; a JWT's exp shortens it."""
    end = int(NOW) + 600
    assert granted({"expires_in": 60, "expires_at": end}).lifetime == 60.0
    assert granted({"expires_in": 0, "expires_at": end}).lifetime == 599.75
    assert granted({"expires_at": "soon", "expires_on": end, "expires": 5}).lifetime == 599.75
    assert granted({"expires_at": end, "access_token": jwt_of({"iat": NOW, "exp": NOW + 50})}).lifetime == 50.0
    assert granted({"expires_at": 10**30}).lifetime == 86400.0


def test_a_wrong_expires_in_is_not_replaced_by_the_jwt() -> None:
    """A server that gives a token again may say 0: its ``exp - iat`` is the whole life, not what is left of it."""
    token = jwt_of({"iat": NOW - 3600, "exp": NOW})
    assert granted({"access_token": token, "expires_in": 0}).lifetime == 300.0
    assert granted({"access_token": jwt_of({"iat": NOW, "exp": NOW + 9}), "expires_in": 0}).lifetime == 9.0


@pytest.mark.parametrize(
    ("date", "lifetime"),
    [
        (NOW + 300, 300.0),
        (NOW - 300, 599.75),
        (NOW + 900, 599.75),
        (None, 599.75),
    ],
    ids=["server-ahead", "server-behind", "a-clock-that-cannot-be-right", "none"],
)
def test_an_end_counts_by_the_clock_that_leaves_less(date: float | None, lifetime: float) -> None:
    """A server whose clock is five minutes ahead names an end that is five minutes late for this host."""
    headers = {} if date is None else {"Date": formatdate(int(date), usegmt=True)}
    found = answer(200, {"access_token": "opaque", "expires_at": int(NOW) + 600}, headers)
    assert isinstance(found, TokenResponse)
    assert found.lifetime == lifetime


def test_an_end_that_only_the_servers_clock_has_before_it() -> None:
    """Where this host is ten minutes ahead, the token has not ended."""
    headers = {"Date": formatdate(int(NOW) - 600, usegmt=True)}
    found = answer(200, {"access_token": "opaque", "expires_at": int(NOW) - 300}, headers)
    assert isinstance(found, TokenResponse)
    assert (found.lifetime, found.lifetime_assumed) == (300.0, "")


def test_a_unix_time_in_expires_in_is_an_end() -> None:
    """As a lifetime it would be 53 years; the largest 32-bit number means a token without an end."""
    assert granted({"expires_in": int(NOW) + 600}).lifetime == 599.75
    assert granted({"expires_in": int(NOW) - 600}).lifetime == 86400.0
    assert granted({"expires_in": 2**31 - 1}).lifetime == 86400.0


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
SAID = ["expires_in", "expires_at", "expires_on", "expires"]
RULES = st.builds(
    AnswerRules,
    lifetime_unit=st.sampled_from(["s", "ms", "min"]),
    never_expires=st.none() | st.sampled_from([0, -1, "never"]),
)


@settings(max_examples=500, deadline=None)
@given(
    st.dictionaries(st.sampled_from(SAID), JSON | LIFETIME),
    st.dictionaries(st.sampled_from(["exp", "iat"]), JSON | LIFETIME),
    st.floats(1.0, 1e6),
    st.none() | st.text(max_size=30) | st.floats(0, 4e9).map(lambda time: formatdate(time, usegmt=True)),
    RULES,
)
def test_every_lifetime_is_positive(
    fields: dict[str, Any], claims: dict[str, Any], default: float, date: str | None, rules: AnswerRules
) -> None:
    """Nothing is raised, claims never lengthen what the answer says, and the default is for a server that says nothing.

    An infinite life is one that the policy caps.
    """
    plain = granted_lifetime(fields, {}, NOW, default, rules=rules, date=date)
    found = granted_lifetime(fields, claims, NOW, default, rules=rules, date=date)
    assert found.seconds > 0
    if plain.assumed != "no expires_in":
        assert found.seconds <= plain.seconds
        assert found.assumed == plain.assumed
    if plain.assumed:
        assert plain.seconds == default


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=40) | st.text("0123456789-+:.TZtz /GMTWedOct\x00", max_size=40))
@example("0000-00-00T00:00:00Z")
@example("2023-11-14T22:23:60Z")
@example("2023-11-14T99:99:99+99:99")
def test_any_text_is_a_moment_or_none(text: str) -> None:
    """The standard library's parsers raise many exceptions; none of them reaches the caller."""
    assert isinstance(unix_time(text), float | None)


def test_a_lifetime_counts_by_the_servers_clock_unless_the_clocks_agree() -> None:
    """An ``iat`` from the same second counts from the request; the edges of that second count from ``iat``."""
    sent = 1000.0
    for iat, lifetime in [(1000.0, 60.0), (999.5, 59.5), (999.0, 60.0), (1000.5, 60.0)]:
        assert granted_lifetime({}, {"iat": iat, "exp": iat + 60.0}, sent, 300.0) == (lifetime, "")


def test_a_jwt_may_live_for_less_than_a_second() -> None:
    """Any lifetime after now is one."""
    assert granted_lifetime({"expires_in": 60}, {"iat": 900.0, "exp": 900.5}, 1000.0, 300.0) == (0.5, "")
    assert granted_lifetime({"expires_in": 60}, {"iat": 900.0, "exp": 900.0}, 1000.0, 300.0) == (60.0, "")
