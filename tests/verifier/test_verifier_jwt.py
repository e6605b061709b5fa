"""JWTs: which are accepted, and why forged, foreign and expired ones are refused."""

from __future__ import annotations

import base64
import json

import jwt
import pytest
from issuer import AUDIENCE, Issuer, private_key, public_jwk, public_pem

from m2m_auth.errors import ConfigurationError
from m2m_auth.testing import FakeClock
from m2m_auth.verifier import InvalidToken, JWTVerifier, VerifiedToken


@pytest.fixture
def issuer(clock: FakeClock) -> Issuer:
    """An issuer without a socket: verifiers reach it by its transport."""
    return Issuer(clock)


@pytest.fixture
def verifier(issuer: Issuer, clock: FakeClock) -> JWTVerifier:
    """A verifier of the issuer's tokens, with 30 s of leeway."""
    return JWTVerifier(issuer.issuer, AUDIENCE, issuer.jwks_uri, transport=issuer.transport, clock=clock)


def encoded(value: object) -> str:
    """A JWT's part."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def refusal(verifier: JWTVerifier, token: str) -> str:
    """The text with which a token is refused."""
    with pytest.raises(InvalidToken) as caught:
        verifier.verify(token)
    assert caught.value.status == 401
    assert token not in str(caught.value)
    return caught.value.description


def test_a_good_token_says_who_calls_and_what_for(issuer: Issuer, verifier: JWTVerifier) -> None:
    """A verified token has client, scopes, audiences and all claims; its repr shows no other claims."""
    found = verifier.verify(issuer.token(email="someone@example.com"))
    assert (found.client_id, found.scopes, found.audiences) == ("billing", {"read", "write"}, {AUDIENCE})
    assert found.claims["email"] == "someone@example.com"
    assert "someone" not in repr(found)


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA"])
def test_every_algorithm_of_the_list_works(issuer: Issuer, verifier: JWTVerifier, algorithm: str) -> None:
    """Each asymmetric algorithm, with a key of its own kind that does not name its algorithm."""
    kind = "RS256" if algorithm.startswith("PS") else algorithm
    issuer.keys = [public_jwk("one"), public_jwk(f"a-{kind}", kind)]
    assert verifier.verify(issuer.token(f"a-{kind}", algorithm)).client_id == "billing"


def test_alg_none_is_refused(issuer: Issuer, verifier: JWTVerifier) -> None:
    """Unsigned tokens are refused in every spelling of "none", without a fetch."""
    for name in ("none", "None", "NONE", ""):
        unsigned = f"{encoded({'alg': name, 'typ': 'at+jwt', 'kid': 'one'})}.{encoded(issuer.claims())}."
        assert refusal(verifier, unsigned) == "The token is not a JWT that this API accepts."
    assert issuer.fetches == 0


def test_hs256_with_the_public_key_is_refused(issuer: Issuer, verifier: JWTVerifier) -> None:
    """Algorithm confusion: an HMAC with the public key as its secret, in each form of the key, is refused."""
    import hashlib
    import hmac

    for secret in (public_pem("one"), public_pem("one").strip(), json.dumps(public_jwk("one")).encode()):
        signed = f"{encoded({'alg': 'HS256', 'typ': 'at+jwt', 'kid': 'one'})}.{encoded(issuer.claims())}"
        mac = base64.urlsafe_b64encode(hmac.digest(secret, signed.encode(), hashlib.sha256)).rstrip(b"=").decode()
        assert refusal(verifier, f"{signed}.{mac}") == "The token is not a JWT that this API accepts."


def test_an_unsafe_allow_list_is_refused(issuer: Issuer) -> None:
    """Symmetric algorithms, none, unknown ones and an empty list are configuration errors."""
    for algorithms in ["HS256", ["RS256", "HS512"], ["none"], ["RS265"], []]:
        with pytest.raises(ConfigurationError, match="algorithms"):
            JWTVerifier(issuer.issuer, AUDIENCE, algorithms=algorithms)


def test_an_algorithm_outside_the_list_is_refused(issuer: Issuer, clock: FakeClock) -> None:
    """A good signature by an algorithm that is not on the list does not count."""
    strict = JWTVerifier(
        issuer.issuer, AUDIENCE, issuer.jwks_uri, transport=issuer.transport, algorithms="ES256", clock=clock
    )
    assert refusal(strict, issuer.token()) == "The token is not a JWT that this API accepts."


def test_a_key_is_used_for_its_own_algorithm_and_use_only(issuer: Issuer, verifier: JWTVerifier) -> None:
    """A key for encryption, one for another algorithm, a short one and one with its private half verify nothing."""
    unfit = [
        public_jwk("enc", use="enc"),
        public_jwk("other", alg="RS512"),
        public_jwk("short", bits=1024),
        json.loads(jwt.get_algorithm_by_name("RS256").to_jwk(private_key("leaked"))) | {"kid": "leaked", "key_ops": []},
    ]
    issuer.keys = [public_jwk("one"), *unfit]
    key_of = {"short": private_key("short", "RS256", 1024)}
    for jwk in unfit:
        key = key_of.get(jwk["kid"]) or private_key(jwk["kid"])
        header = f"{encoded({'alg': 'RS256', 'typ': 'at+jwt', 'kid': jwk['kid']})}.{encoded(issuer.claims())}"
        signature = jwt.get_algorithm_by_name("RS256").sign(header.encode(), key)
        token = f"{header}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
        assert refusal(verifier, token) == "The token is signed with a key that the issuer does not have.", jwk["kid"]
    assert verifier.verify(issuer.token()), "the good key beside them still works"


def test_a_key_inside_of_the_token_is_not_believed(issuer: Issuer, verifier: JWTVerifier) -> None:
    """``jwk``, ``jku`` and ``x5u`` headers are an attacker's: nothing is fetched, and the signature is checked."""
    own = {"jwk": public_jwk("mallory"), "jku": f"{issuer.base_url}/evil", "x5u": f"{issuer.base_url}/evil"}
    token = jwt.encode(issuer.claims(), private_key("mallory"), "RS256", headers={"kid": "one", "typ": "at+jwt", **own})
    assert refusal(verifier, token) == "The token's signature is not the issuer's."
    assert issuer.asked["/evil"] == 0


def test_changed_claims_break_the_signature(issuer: Issuer, verifier: JWTVerifier) -> None:
    """A token whose scope was widened on the way is refused."""
    header, _, signature = issuer.token().split(".")
    widened = f"{header}.{encoded(issuer.claims(scope='read write admin'))}.{signature}"
    assert refusal(verifier, widened) == "The token's signature is not the issuer's."


def test_a_token_for_another_api_is_refused(issuer: Issuer, verifier: JWTVerifier) -> None:
    """Well signed, but its issuer, audience, times or binding are not what this API accepts."""
    for changed, why in [
        ({"iss": "https://other.example"}, "The token is from another issuer."),
        ({"iss": None}, "The token lacks a required claim."),
        ({"aud": "https://other.example"}, "The token is for another audience."),
        ({"aud": ["a", "b"]}, "The token is for another audience."),
        ({"aud": AUDIENCE + "/"}, "The token is for another audience."),
        ({"aud": {AUDIENCE: 1}}, "The token is for another audience."),
        ({"aud": None}, "The token lacks a required claim."),
        ({"exp": None}, "The token lacks a required claim."),
        ({"exp": "never"}, "The token has a time that is not a number."),
        ({"exp": True}, "The token has a time that is not a number."),
        ({"exp": 1e400}, "The token has a time that is not a number."),
        ({"cnf": {"jkt": "abc"}}, "The token is bound to a key, so it is not a bearer token."),
    ]:
        assert refusal(verifier, issuer.token(**changed)) == why


def test_one_of_several_audiences_is_enough(issuer: Issuer, clock: FakeClock) -> None:
    """With lists on both sides, one common value is enough."""
    several = JWTVerifier(issuer.issuer, ["other", AUDIENCE], issuer.jwks_uri, transport=issuer.transport, clock=clock)
    assert several.verify(issuer.token(aud=["x", AUDIENCE])).audiences == {"x", AUDIENCE}
    assert refusal(several, issuer.token(aud=["x", "y"])) == "The token is for another audience."


@pytest.mark.parametrize(("age", "good"), [(599, True), (600, True), (629, True), (630, False), (5000, False)])
def test_an_expired_token_is_good_within_the_leeway(
    issuer: Issuer, verifier: JWTVerifier, clock: FakeClock, age: float, good: bool
) -> None:
    """600 s of life and 30 s of leeway, exact to the second."""
    token = issuer.token()
    clock.advance(age)
    if good:
        assert isinstance(verifier.verify(token), VerifiedToken)
    else:
        assert refusal(verifier, token) == "The token has expired."


@pytest.mark.parametrize("claim", ["nbf", "iat"])
@pytest.mark.parametrize(("ahead", "good"), [(30, True), (31, False)])
def test_a_token_of_the_future_waits(
    issuer: Issuer, verifier: JWTVerifier, clock: FakeClock, claim: str, ahead: float, good: bool
) -> None:
    """``nbf`` and ``iat`` may lie ahead by the leeway, and no more; later the token is good."""
    token = issuer.token(**{claim: clock.wall() + ahead})
    if not good:
        assert refusal(verifier, token) == "The token is not valid yet."
        clock.advance(1)
    assert verifier.verify(token)


def test_required_claims(issuer: Issuer, clock: FakeClock) -> None:
    """A claim that is asked for must be there and not empty."""
    picky = JWTVerifier(
        issuer.issuer, AUDIENCE, issuer.jwks_uri, transport=issuer.transport, required_claims=["tenant"], clock=clock
    )
    assert picky.verify(issuer.token(tenant="acme"))
    for token in (issuer.token(), issuer.token(tenant="")):
        assert refusal(picky, token) == "The token lacks a required claim."


def test_a_jwt_of_another_kind_is_refused(issuer: Issuer, verifier: JWTVerifier) -> None:
    """RFC 8725 §3.11: what the issuer signs for another purpose is no access token."""
    for kind in ["id_token", "dpop+jwt", "logout+jwt", 7]:
        header = f"{encoded({'alg': 'RS256', 'typ': kind, 'kid': 'one'})}.{encoded(issuer.claims())}"
        signature = jwt.get_algorithm_by_name("RS256").sign(header.encode(), private_key("one"))
        token = f"{header}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
        assert refusal(verifier, token) == "The token is a JWT of another kind, not an access token."


def test_the_usual_kinds_are_taken(issuer: Issuer, verifier: JWTVerifier) -> None:
    """RFC 9068's type, in either form and case, and what most issuers still send."""
    for kind in ["at+jwt", "AT+JWT", "application/at+jwt", "JWT"]:
        assert verifier.verify(issuer.token(headers={"typ": kind}))


def test_a_critical_extension_is_refused(issuer: Issuer, verifier: JWTVerifier) -> None:
    """RFC 7515 §4.1.11: a token with a critical extension that is not understood is invalid."""
    for extension in ["exp2", "b64"]:
        header = encoded({"alg": "RS256", "kid": "one", "crit": [extension], extension: True})
        header = f"{header}.{encoded(issuer.claims())}"
        signature = jwt.get_algorithm_by_name("RS256").sign(header.encode(), private_key("one"))
        token = f"{header}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
        assert refusal(verifier, token) == "The token is not a JWT that this API accepts."


def test_what_is_no_jwt_is_refused_without_a_fetch(issuer: Issuer, verifier: JWTVerifier) -> None:
    """Any other text is an invalid token, never another exception."""
    for token in [
        "opaque",
        "",
        "a.b.c",
        "...",
        "eyJhbGciOiJSUzI1NiJ9",
        "eyJhbGciOiJSUzI1NiJ9..",
        "ä.ö.ü",
        "[" * 9000,
        "a" * 100_000,
    ]:
        with pytest.raises(InvalidToken):
            verifier.verify(token)
        assert issuer.fetches <= 1


def test_a_header_nested_without_end_is_refused(verifier: JWTVerifier) -> None:
    """JSON that is deeper than the interpreter's stack is an invalid token."""
    deep = base64.urlsafe_b64encode(b'{"a":' + b"[" * 5000).rstrip(b"=").decode()
    assert refusal(verifier, f"{deep}.e30.AA") == "The token is not a JWT that this API accepts."


def test_whose_token_it_is(issuer: Issuer, verifier: JWTVerifier) -> None:
    """``client_id`` first (RFC 9068 §2.2), then the vendors' own claims, else an empty string."""
    for claims, client in [
        ({"client_id": "a", "azp": "b", "cid": "c", "sub": "d"}, "a"),
        ({"client_id": None, "azp": "b", "cid": "c", "sub": "d"}, "b"),
        ({"client_id": "", "cid": "c", "sub": "d"}, "c"),
        ({"client_id": 7, "sub": "d"}, "d"),
        ({"client_id": None, "sub": None}, ""),
    ]:
        assert verifier.verify(issuer.token(**claims)).client_id == client


def test_what_a_token_may_do(issuer: Issuer, verifier: JWTVerifier) -> None:
    """Scopes come from ``scope`` as a string or a list, else from ``scp``; a claim of another type grants nothing."""
    for claims, scopes in [
        ({"scope": "read  write"}, {"read", "write"}),
        ({"scope": ["read", "write", 7]}, {"read", "write"}),
        ({"scope": None, "scp": ["read"]}, {"read"}),
        ({"scope": None, "scp": "read write"}, {"read", "write"}),
        ({"scope": "", "scp": ["admin"]}, set()),
        ({"scope": None}, set()),
        ({"scope": {"admin": True}}, set()),
    ]:
        assert verifier.verify(issuer.token(**claims)).scopes == scopes
