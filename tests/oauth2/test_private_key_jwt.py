"""private_key_jwt (RFC 7523): what is signed, with what, and which keys are refused before any I/O."""

from __future__ import annotations

import pickle
import sys
import traceback
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from m2m_auth import ConfigurationError
from m2m_auth.oauth2.client_authentication.private_key_jwt import PrivateKeyJWT
from m2m_auth.oauth2.client_authentication.protocol import ClientAuthentication
from m2m_auth.oauth2.client_authentication.registry import by_name

URL = "https://tenant.example/oauth/token"
NOW = 1_700_000_000.75
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


def pem(key: Any, password: bytes | None = None) -> bytes:
    """The private key in PEM."""
    locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))


def public(key: Any) -> bytes:
    """The public key in PEM."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))


def assertion(method: ClientAuthentication, now: float = NOW) -> str:
    """The assertion in one token request's parameters."""
    credentials = method.authenticate("client", None, URL, now)
    fields = dict(credentials.parameters)
    assert credentials.headers == {}
    assert fields["client_id"] == "client"
    assert fields["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    return fields["client_assertion"]


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (RSA, "PS256"), (EC, "ES256"), (ED, "EdDSA")])
def test_the_assertion_is_signed_and_complete(key: Any, algorithm: str) -> None:
    """RFC 7523 §3: iss = sub = the client, aud = the token endpoint, a short life, and a jti."""
    token = assertion(PrivateKeyJWT(pem(key), algorithm, key_id="k1"))
    claims = jwt.decode(
        token,
        public(key),
        algorithms=[algorithm],
        audience=URL,
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )
    assert claims["iss"] == claims["sub"] == "client"
    assert (claims["iat"], claims["nbf"], claims["exp"]) == (int(NOW), int(NOW), int(NOW) + 60)
    assert set(claims) == {"iss", "sub", "aud", "iat", "nbf", "exp", "jti"}
    assert len(claims["jti"]) >= 22
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "kid": "k1", "typ": "JWT"}


def test_each_assertion_is_fresh() -> None:
    """Servers remember each jti, so that an assertion cannot be replayed."""
    method = PrivateKeyJWT(pem(EC), "ES256")
    claims = [jwt.decode(assertion(method), options={"verify_signature": False}) for _ in range(50)]
    assert len({claim["jti"] for claim in claims}) == 50
    assert "kid" not in jwt.get_unverified_header(assertion(method))


def test_audience_and_lifetime_are_options() -> None:
    """Some servers want their issuer as aud; exp is counted from the request."""
    method = PrivateKeyJWT(pem(EC), "ES256", audience="https://tenant.example/", lifetime=5)
    claims = jwt.decode(assertion(method), options={"verify_signature": False})
    assert (claims["aud"], claims["exp"] - claims["iat"]) == ("https://tenant.example/", 5)


@pytest.mark.parametrize(("lifetime", "seconds"), [(0.5, 1), (1, 1), (1.9, 1), (2, 2), (3600, 3600)])
def test_an_assertion_lives_for_whole_seconds(lifetime: float, seconds: int) -> None:
    """At least one: ``exp`` is after ``iat``, and the jti has 128 bits."""
    claims = jwt.decode(
        assertion(PrivateKeyJWT(pem(EC), "ES256", lifetime=lifetime)), options={"verify_signature": False}
    )
    assert claims["exp"] - claims["iat"] == seconds
    assert len(claims["jti"]) == 32


def test_the_key_may_be_text_bytes_or_a_path(tmp_path: Path) -> None:
    """All four ways give the same credential."""
    path = tmp_path / "key.pem"
    path.write_bytes(pem(EC))
    given: list[Any] = [pem(EC), pem(EC).decode(), path, str(path)]
    methods = [PrivateKeyJWT(key, "ES256") for key in given]
    assert len({method.credential(None) for method in methods}) == 1
    assert by_name(methods[0]) is methods[0]


def test_keys_algorithms_and_audiences_are_distinct() -> None:
    """The cache key knows the method, its algorithm and audience; the credential is the key's digest."""
    one, other = PrivateKeyJWT(pem(RSA)), PrivateKeyJWT(pem(RSA), "PS256")
    third = PrivateKeyJWT(pem(RSA), audience="https://a.example")
    assert (one.method, other.method) == ("private_key_jwt:RS256:", "private_key_jwt:PS256:")
    assert third.method == "private_key_jwt:RS256:https://a.example"
    assert one.credential(None) == other.credential(None) != PrivateKeyJWT(pem(EC), "ES256").credential(None)


@pytest.mark.parametrize(
    ("key", "algorithm", "words"),
    [
        (public(RSA), "RS256", ["PRIVATE KEY", "Is it the public key?"]),
        (public(RSA).decode(), "RS256", ["Is it the public key?"]),
        (pem(RSA, b"password"), "RS256", ["not an unencrypted private key for RS256"]),
        (pem(EC), "RS256", ["not an unencrypted private key for RS256"]),
        (pem(RSA), "ES256", ["not an unencrypted private key for ES256"]),
        (pem(RSA)[:300] + b"\n-----END PRIVATE KEY-----\n", "RS256", ["not an unencrypted private key"]),
        (pem(RSA), "RS257", ["algorithm='RS257'", "Fix: a JWS algorithm such as 'RS256'"]),
        (pem(RSA), "HS256", ["algorithm='HS256' is not one with a private key"]),
        (pem(RSA), "none", ["algorithm='none'"]),
        (pem(RSA), None, ["algorithm=None"]),
        ("/no/such/key.pem", "RS256", ["neither PEM text nor a file", "FileNotFoundError"]),
        ("", "RS256", ["neither PEM text nor a file"]),
        (None, "RS256", ["neither PEM text nor a file", "TypeError"]),
        ("nul\x00byte", "RS256", ["neither PEM text nor a file"]),
        (b"", "RS256", ["neither PEM text nor a file"]),
        (b"\xff\x00", "RS256", ["neither PEM text nor a file", "ValueError"]),
    ],
)
def test_a_key_that_cannot_sign_is_refused_at_once(key: Any, algorithm: Any, words: list[str]) -> None:
    """It raises when it is configured, not at the first mint; the message says which part is wrong."""
    with pytest.raises(ConfigurationError) as caught:
        PrivateKeyJWT(key, algorithm)
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize("lifetime", [0, -1, 3601, float("nan"), "60", None])
def test_a_lifetime_out_of_range_is_refused(lifetime: Any) -> None:
    """An assertion that lives for days is as good as a password."""
    with pytest.raises(ConfigurationError, match=r"lifetime=.* must be between 0 and 3600 seconds"):
        PrivateKeyJWT(pem(EC), "ES256", lifetime=lifetime)


def test_a_mistyped_key_is_never_shown() -> None:
    """A key without its BEGIN line looks like a file name; no traceback shows it, chained ones included."""
    body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" + "canary" * 10
    for key in (body, body * 100):
        with pytest.raises(ConfigurationError) as caught:
            PrivateKeyJWT(key)
        assert caught.value.__context__ is None
        assert "canary" not in "".join(traceback.format_exception_only(caught.type, caught.value))


def test_a_private_key_shows_nothing_and_is_not_pickled() -> None:
    """repr and pickle give away neither the PEM nor the loaded key."""
    method = PrivateKeyJWT(pem(EC), "ES256", key_id="k1")
    assert repr(method) == "<PrivateKeyJWT ES256 key_id='k1'>"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(
            TypeError, match=r"^a PrivateKeyJWT is not pickled: the key would leave the process in the clear$"
        ):
            pickle.dumps(method, protocol)


NOT_A_KEY = "PrivateKeyJWT: the key is not an unencrypted private key for RS256"


@pytest.mark.parametrize(
    ("key", "algorithm", "message"),
    [
        (
            public(RSA),
            "RS256",
            "PrivateKeyJWT: key holds no '-----BEGIN … PRIVATE KEY-----'. Is it the public key?",
        ),
        (
            pem(RSA),
            "RS257",
            "PrivateKeyJWT: algorithm='RS257' is not known to PyJWT. "
            "Fix: a JWS algorithm such as 'RS256' or 'ES256', and pip install 'm2m-auth[jwt]'",
        ),
        (pem(RSA, b"password"), "RS256", f"{NOT_A_KEY} (TypeError)"),
        (pem(EC), "RS256", f"{NOT_A_KEY} (InvalidKeyError)"),
        ("-----BEGIN PRIVATE KEY-----\ud800", "RS256", f"{NOT_A_KEY} (InvalidKeyError)"),
    ],
)
def test_a_wrong_key_is_explained_in_full(key: Any, algorithm: str, message: str) -> None:
    """The whole message; of PyJWT's own error the type only, since its words may hold the key."""
    with pytest.raises(ConfigurationError) as caught:
        PrivateKeyJWT(key, algorithm)
    assert str(caught.value) == message


def test_without_pyjwt_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fix is a command that can be pasted into a shell."""
    monkeypatch.setitem(sys.modules, "jwt", None)
    with pytest.raises(ConfigurationError) as caught:
        PrivateKeyJWT(pem(RSA))
    assert str(caught.value) == (
        "private_key_jwt needs the package 'jwt', which is not installed. Fix: pip install 'm2m-auth[jwt]'"
    )
