"""The wire format: the Authorization header of a request, and the challenge of the answer.

The challenges are parsed by the client side of this package, so both sides agree on them.
"""

from __future__ import annotations

import copy
import pickle

import pytest

from m2m_auth.errors import ConfigurationError, M2MAuthError
from m2m_auth.oauth2.challenges import bearer_rejection, challenges
from m2m_auth.verifier import (
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    MissingToken,
    VerifiedToken,
    VerifierUnavailable,
    bearer_token,
    names,
)


def test_the_token_of_a_header() -> None:
    """The scheme's case and spare spaces do not matter (RFC 9110 §11.1)."""
    for header in ["Bearer abc", "bearer abc", "BEARER   abc ", " Bearer abc"]:
        assert bearer_token(header) == "abc"


def test_every_character_of_a_token_is_kept() -> None:
    """RFC 6750 §2.1's b64token."""
    for token in ["a-._~+/9==", "eyJ.eyJ.sig", "x" * 16384]:
        assert bearer_token(f"Bearer {token}") == token


def test_no_bearer_token_at_all() -> None:
    """No header, or one for another scheme: 401 with a challenge that has no error (RFC 6750 §3.1)."""
    for header in [None, "", "  ", "Basic YTpi", "DPoP abc", "Bearerabc", "Token abc"]:
        with pytest.raises(MissingToken) as caught:
            bearer_token(header)
        assert caught.value.status == 401
        assert challenges(caught.value.headers["WWW-Authenticate"]) == [("bearer", {"realm": "m2m"})]


def test_a_malformed_header_or_two_tokens_is_a_400() -> None:
    """A malformed header, or two headers that a server joined with a comma, are ``invalid_request``."""
    for header in [
        "Bearer",
        "Bearer ",
        "Bearer a b",
        "Bearer a,Bearer b",
        "Bearer a, Bearer b",
        "Bearer ä",
        "Bearer a\x00",
        "Bearer =a",
        "Bearer " + "x" * 20_000,
        'Bearer token="abc"',
    ]:
        with pytest.raises(InvalidRequest) as caught:
            bearer_token(header)
        assert caught.value.status == 400
        assert 'error="invalid_request"' in caught.value.headers["WWW-Authenticate"]


def test_a_token_in_the_url_too_is_two_tokens() -> None:
    """RFC 6750 §2: a token in the URL and one in the header are two; a token in the URL alone is never read."""
    with pytest.raises(InvalidRequest):
        bearer_token("Bearer abc", ["page", "access_token"])
    with pytest.raises(MissingToken):
        bearer_token(None, ["access_token"])
    assert bearer_token("Bearer abc", ["page"]) == "abc"


REFUSALS = [
    (MissingToken(), 401, True),
    (MissingToken(scope="read write"), 401, True),
    (InvalidToken("The token has expired."), 401, True),
    (InvalidRequest("There are two tokens."), 400, False),
    (InsufficientScope(scope="read write"), 403, False),
    (VerifierUnavailable("the keys cannot be fetched", retry_after=2.2), 503, False),
]


def test_our_own_client_renews_for_a_401_and_for_nothing_else() -> None:
    """A bad token is renewed and replayed; a missing scope, a malformed header or a server that is down is not."""
    for refusal, status, renews in REFUSALS:
        assert refusal.status == status
        assert bearer_rejection(refusal.status, refusal.headers) is renews


def test_a_challenge_can_be_parsed_back() -> None:
    """What RFC 6750 §3 asks for: the scheme, at least one parameter, the code, the words and the scope, unharmed."""
    for refusal in [refusal for refusal, _, _ in REFUSALS]:
        if isinstance(refusal, VerifierUnavailable):
            assert "WWW-Authenticate" not in refusal.headers
            return
        ((scheme, parameters),) = challenges(refusal.headers["WWW-Authenticate"])
        assert scheme == "bearer"
        assert parameters
        assert parameters.get("error", "") == refusal.error
        assert parameters.get("scope", "") == refusal.scope
        assert refusal.headers["Cache-Control"] == "no-store"


def test_the_scopes_that_are_needed_are_named() -> None:
    """403 names the needed scopes in sorted order."""
    assert InsufficientScope(scope={"write", "read"}).challenge == (
        'Bearer error="insufficient_scope", error_description="The token lacks a scope.", scope="read write"'
    )


def test_when_to_come_back() -> None:
    """Retry-After is in whole seconds, rounded up, at least one; the reason stays in the log."""
    error = VerifierUnavailable("the keys of https://tenant.example cannot be fetched (timeout)", retry_after=0.01)
    assert error.headers["Retry-After"] == "1"
    assert "tenant" in str(error)
    assert "tenant" not in str(error.body) + str(error.headers)


def test_refusals_are_errors_of_the_library_that_travel() -> None:
    """Caught as M2MAuthError; pickled and copied with their facts."""
    for refusal, _, _ in REFUSALS:
        for twin in (pickle.loads(pickle.dumps(refusal)), copy.copy(refusal)):
            assert isinstance(twin, M2MAuthError)
            assert type(twin) is type(refusal)
            assert (twin.headers, twin.body, str(twin)) == (refusal.headers, refusal.body, str(refusal))


TOKEN = VerifiedToken(client_id="billing", scopes=frozenset({"read", "write"}), claims={"aud": ["a", "b"]})


def test_scopes_that_are_there() -> None:
    """A token with all required scopes passes, in each form of the argument."""
    for scope in [None, "", "read", "read write", ["write"], {"read", "write"}]:
        TOKEN.require(scope)


def test_scopes_that_are_not() -> None:
    """One missing scope is refused; names are compared exactly."""
    for scope in ["admin", "read admin", ["READ"], "rea"]:
        with pytest.raises(InsufficientScope) as caught:
            TOKEN.require(scope)
        assert set(caught.value.scope.split()) == names(scope)


def test_audiences() -> None:
    """Any value of ``aud`` counts; a token without the audience is invalid (RFC 9068 §4)."""
    TOKEN.require(audience="b")
    with pytest.raises(InvalidToken):
        TOKEN.require("read", audience="c")
    VerifiedToken(client_id="x", scopes=frozenset(), claims={"aud": "a"}).require(audience="a")
    with pytest.raises(InvalidToken):
        VerifiedToken(client_id="x", scopes=frozenset(), claims={}).require(audience="a")


def test_a_scope_that_cannot_be_one_is_found_where_it_is_written() -> None:
    """A comma between scopes is a common mistake and a ConfigurationError."""
    for scope in ['re"ad', ["read write"], "read,write", [7], "ä"]:
        with pytest.raises(ConfigurationError, match="scope"):
            names(scope)  # type: ignore[arg-type]
