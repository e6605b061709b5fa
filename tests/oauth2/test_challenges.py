"""Whether a response refuses its token (RFC 6750 §3.1), and the parser of challenges behind the rule."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from m2m_auth.oauth2.challenges import bearer_rejection, challenges

INVALID, SCOPE = {"error": "invalid_token"}, {"error": "insufficient_scope"}


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", []),
        (" , ,", []),
        ("Bearer", [("bearer", {})]),
        ("BEARER", [("bearer", {})]),
        ("Bearer,", [("bearer", {})]),
        ('Bearer realm="api"', [("bearer", {"realm": "api"})]),
        ('Bearer error="invalid_token"', [("bearer", INVALID)]),
        ("Bearer error=invalid_token", [("bearer", INVALID)]),
        ("Bearer error=", [("bearer", {})]),
        ("Bearer error=, x=y", [("bearer", {"x": "y"})]),
        (r"Bearer error=a\b", [("bearer", {"error": r"a\b"})]),
        ('Bearer realm="a\\\nb"', [("bearer", {"realm": "a\nb"})]),
        ('Bearer ERROR = "invalid_token"', [("bearer", INVALID)]),
        ('Bearer realm="", error="invalid_token"', [("bearer", {"realm": "", **INVALID})]),
        ('Bearer realm="a, b", error="invalid_token"', [("bearer", {"realm": "a, b", **INVALID})]),
        (r'Bearer realm="say \"hi, Basic\" \\", error=x', [("bearer", {"realm": 'say "hi, Basic" \\', "error": "x"})]),
        ('Bearer realm="Basic x=y, Digest"', [("bearer", {"realm": "Basic x=y, Digest"})]),
        ('Bearer realm="api" error="invalid_token"', [("bearer", {"realm": "api", **INVALID})]),
        ('Bearer, error="invalid_token"', [("bearer", INVALID)]),
        ('Bearer error="a", error="b"', [("bearer", {"error": "a"})]),
        ('Basic realm="x", Bearer', [("basic", {"realm": "x"}), ("bearer", {})]),
        ('Basic realm="x", Bearer error="invalid_token"', [("basic", {"realm": "x"}), ("bearer", INVALID)]),
        ('Basic realm="x" Bearer error="invalid_token"', [("basic", {"realm": "x"}), ("bearer", INVALID)]),
        ("Negotiate, NTLM, Bearer", [("negotiate", {}), ("ntlm", {}), ("bearer", {})]),
        ("Negotiate YIIabc==, Bearer", [("negotiate", {}), ("bearer", {})]),
        ("Negotiate YI/I+abc=, Bearer", [("negotiate", {}), ("bearer", {})]),
        ("NTLM TlRMTVNT, Bearer", [("ntlm", {}), ("bearer", {})]),
        ("Negotiate Bearer", [("negotiate", {})]),
        ('Bearer realm="not closed', [("bearer", {"realm": "not closed"})]),
        ('Bearer realm="not closed\\', [("bearer", {"realm": "not closed"})]),
        ('realm="x", error="invalid_token"', []),
        ('"Bearer"', []),
    ],
)
def test_challenges(header: str, found: list[tuple[str, dict[str, str]]]) -> None:
    """Several challenges, several headers joined, token68, missing commas, quoted commas and escapes."""
    assert challenges(header) == found


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "  ",
        ",",
        "\x00 garbage \xff",
        "Bearer",
        'bearer realm="api"',
        'Bearer error="invalid_token", error_description="The access token expired"',
        'Bearer error="INVALID_TOKEN"',
        'Bearer error=""',
        'Bearer error="expired_token"',
        'Bearer error="token_revoked"',
        'Bearer realm="error=insufficient_scope"',
        'Bearer error="insufficient_scope", Bearer error="invalid_token"',
        'Basic realm="x", Bearer error="invalid_token"',
        'Basic realm="api"',
        'Basic realm="Bearer error=insufficient_scope"',
        'Basic realm="x", error="insufficient_scope"',
        "Token",
        'JWT realm="api"',
        'OAuth realm="x", error="invalid_request"',
        "Negotiate YIIabc==",
        'Digest realm="x", nonce="y"',
        'DPoP error="insufficient_scope"',
    ],
)
def test_a_401_refuses_the_token(header: str | None) -> None:
    """Any scheme, any code, and none: Django REST framework says Basic or Token (django-rest-framework#4680)."""
    assert bearer_rejection(401, {} if header is None else {"WWW-Authenticate": header})


@pytest.mark.parametrize(
    "header",
    [
        'Bearer error="insufficient_scope", scope="admin"',
        "bearer ERROR = Insufficient_Scope",
        "Bearer error='insufficient_scope'",
        'Bearer error="invalid_request"',
        'Bearer realm="x" error="insufficient_scope"',
        'Basic realm="x", Bearer error="insufficient_scope"',
        'Bearer error="insufficient_scope", Basic realm="x"',
    ],
)
def test_a_401_that_a_new_token_would_not_help(header: str) -> None:
    """A Bearer challenge with insufficient_scope or invalid_request, also beside challenges of other schemes."""
    assert not bearer_rejection(401, {"WWW-Authenticate": header})


@pytest.mark.parametrize("status", [200, 400, 403, 407, 500])
def test_only_a_401_refuses_a_token(status: int) -> None:
    """A 403 never refuses the token, with any challenge."""
    assert not bearer_rejection(status, {"WWW-Authenticate": 'Bearer error="invalid_token"'})
    assert not bearer_rejection(status, {})


def test_header_names_have_no_case_in_a_librarys_headers() -> None:
    """The front doors pass their library's own mapping."""
    headers = CaseInsensitiveDict({"www-authenticate": 'Bearer error="insufficient_scope"'})
    assert not bearer_rejection(401, headers)


@pytest.mark.parametrize(
    "pattern",
    [
        'a"',
        "/",
        'a="',
        'a="\\',
        " ",
        "a ",
        "=",
        "a=",
        'a="\\"',
        "Bearer ,",
        "x=y,",
        "a==,",
        "\\",
        '"',
        "ab/",
        "\x00",
        "a\t\n",
    ],
)
@pytest.mark.parametrize("ending", ["", '"', "=", "\\"])
def test_a_hostile_header_takes_linear_time(pattern: str, ending: str) -> None:
    """A quadratic parser takes minutes for the worst 100 kB, a linear one milliseconds."""
    header = (pattern * 100_000)[:100_000] + ending
    started = time.perf_counter()
    challenges(header)
    challenges("a" * 100_000 + header)
    assert time.perf_counter() - started < 10.0


@settings(max_examples=400, deadline=None)
@given(st.integers(100, 599), st.text(max_size=60) | st.text(alphabet='Bearer =",\\tokn_/ ', max_size=60))
def test_any_header_is_read(status: int, header: str) -> None:
    """Nothing is raised; schemes and names are lower case and not empty."""
    bearer_rejection(status, {"WWW-Authenticate": header})
    for scheme, parameters in challenges(header):
        assert scheme == scheme.lower() != ""
        assert all(name == name.lower() != "" for name in parameters)


QUOTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=15)
NAME = st.text("abcxyz_-", min_size=1, max_size=6)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(NAME, st.dictionaries(NAME, QUOTABLE, max_size=3)), max_size=3), st.sampled_from([" ", ", "]))
def test_well_formed_challenges_read_back(wanted: list[tuple[str, dict[str, str]]], between: str) -> None:
    """Any characters between quotes, with or without commas between parameters."""
    written = []
    for scheme, parameters in wanted:
        quoted = [f'{name}="{_escaped(value)}"' for name, value in parameters.items()]
        written.append(" ".join([scheme, between.join(quoted)]).strip())
    assert challenges(", ".join(written)) == wanted


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
