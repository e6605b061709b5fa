"""Client authentication by secret: Basic in both encodings, post, and what a user writes."""

from __future__ import annotations

import base64
import importlib
import pkgutil
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import m2m_auth
from m2m_auth import ConfigurationError, TokenSource
from m2m_auth.oauth2 import client_authentication
from m2m_auth.oauth2.client_authentication.client_secret_basic import ClientSecretBasic
from m2m_auth.oauth2.client_authentication.client_secret_post import ClientSecretPost
from m2m_auth.oauth2.client_authentication.protocol import ClientAuthentication, RequestCredentials
from m2m_auth.oauth2.client_authentication.registry import METHODS, by_name
from m2m_auth.oauth2.secrets import Secret

URL = "https://tenant.example/oauth/token"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def basic(client_id: str, secret: str, encoding: Any = "percent") -> str:
    """What the Basic header holds, decoded once."""
    credentials = ClientSecretBasic(encoding).authenticate(client_id, Secret(secret), URL, 0.0)
    scheme, _, pair = credentials.headers["Authorization"].partition(" ")
    assert (scheme, credentials.parameters) == ("Basic", ())
    return base64.b64decode(pair, validate=True).decode()


@pytest.mark.parametrize(
    ("client_id", "secret", "percent", "raw"),
    [
        ("client", "secret", "client:secret", "client:secret"),
        ("client", "se cret", "client:se%20cret", "client:se cret"),
        ("client", "50%", "client:50%25", "client:50%"),
        ("client", "a:b", "client:a%3Ab", "client:a:b"),
        ("client", "a+b", "client:a%2Bb", "client:a+b"),
        ("client", "a/b=&?", "client:a%2Fb%3D%26%3F", "client:a/b=&?"),
        ("client", "-._~", "client:-._~", "client:-._~"),
        ("client", "pässwörd€", "client:p%C3%A4ssw%C3%B6rd%E2%82%AC", "client:pässwörd€"),
        ("cli:ent x", "s", "cli%3Aent%20x:s", "cli:ent x:s"),
        ("a/X", "X/b", "a%2FX:X%2Fb", "a/X:X/b"),
    ],
)
def test_basic_in_both_encodings(client_id: str, secret: str, percent: str, raw: str) -> None:
    """Percent-encoded with a space as %20, or raw; in UTF-8 either way."""
    assert basic(client_id, secret) == percent
    assert basic(client_id, secret, "raw") == raw


@settings(max_examples=100, deadline=None)
@given(TEXT, TEXT)
def test_a_percent_encoded_pair_reads_back(client_id: str, secret: str) -> None:
    """There is one colon, and both halves decode to what they were."""
    user, colon, password = basic(client_id, secret).partition(":")
    assert (unquote(user), colon, unquote(password)) == (client_id, ":", secret)
    assert ":" not in password
    assert "+" not in password


def test_post_puts_both_into_the_body() -> None:
    """There is no Authorization header: a client uses one method at a time (RFC 6749 §2.3)."""
    credentials = ClientSecretPost().authenticate("client", Secret("a b"), URL, 0.0)
    assert credentials == RequestCredentials({}, (("client_id", "client"), ("client_secret", "a b")))


@pytest.mark.parametrize("method", [ClientSecretBasic(), ClientSecretBasic("raw"), ClientSecretPost()])
def test_a_method_that_needs_a_secret_says_so(method: ClientAuthentication) -> None:
    """Without one, both of its methods raise, with the fix."""
    for call in (lambda: method.credential(None), lambda: method.authenticate("client", None, URL, 0.0)):
        with pytest.raises(ConfigurationError) as caught:
            call()
        assert str(caught.value) == (
            f"client_secret is missing, and client_authentication={method.method.partition(':')[0]!r} needs it. "
            "Fix: pass client_secret=, a string or a callable that returns it"
        )
    assert method.credential(Secret("s")) == b"s"


def test_methods_are_distinct_by_name() -> None:
    """The method is a part of the cache key, its encoding included."""
    assert ClientSecretBasic().method == "client_secret_basic"
    assert ClientSecretBasic("raw").method == "client_secret_basic:raw"
    assert isinstance(by_name("client_secret_basic"), ClientSecretBasic)
    assert isinstance(by_name("client_secret_post"), ClientSecretPost)
    for method in (ClientSecretBasic(), ClientSecretPost()):
        assert by_name(method) is method


class Own:
    """A client authentication method that a user wrote."""

    method = "my-company's header"

    def credential(self, client_secret: Secret | None) -> bytes:
        """A constant."""
        return b"own"

    def authenticate(
        self, client_id: str, client_secret: Secret | None, token_endpoint: str, now: float
    ) -> RequestCredentials:
        """One header."""
        return RequestCredentials({"X-Client": client_id}, ())


def test_an_object_by_the_protocol_is_taken_as_it_is() -> None:
    """A user's own method needs no base class, and no client_secret."""
    own = Own()
    assert by_name(own) is own
    assert isinstance(own, ClientAuthentication)
    source = TokenSource(URL, "client", client_authentication=own, transport=lambda request: None)
    assert source.status().state == "none"


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("client_secret_basik", ["'client_secret_basik'", "did you mean 'client_secret_basic'?", "client_secret_post"]),
        (
            "mtls",
            [
                "'mtls' is not known",
                "Known: client_secret_basic, client_secret_post, PrivateKeyJWT(key), or an object of your own",
            ],
        ),
        ("private_key_jwt", ["needs arguments", "Fix: client_authentication=PrivateKeyJWT(key), from m2m_auth"]),
        (None, ["client_authentication=NoneType", "Fix: a name such as"]),
        (("id", "s3cr3t"), ["client_authentication=tuple", "ClientAuthentication protocol"]),
        (ClientSecretPost, ["client_authentication=type", "Fix: a name such as"]),
    ],
)
def test_an_unknown_method_is_explained(method: object, words: list[str]) -> None:
    """The message has what was given (never its contents), what is known, and the fix."""
    with pytest.raises(ConfigurationError) as caught:
        by_name(method)
    assert [word for word in words if word not in str(caught.value)] == []
    assert "s3cr3t" not in str(caught.value)


def test_an_object_of_another_kind_is_explained_in_full() -> None:
    """The whole message: what, and the fix."""
    with pytest.raises(ConfigurationError) as caught:
        by_name(5)
    assert str(caught.value) == (
        "client_authentication=int has no method, credential() and authenticate(). "
        "Fix: a name such as 'client_secret_post', or an object with the ClientAuthentication protocol"
    )


def test_an_unknown_encoding_is_refused() -> None:
    """It raises before a secret is sent in it."""
    wrong: Any = "form"
    with pytest.raises(ConfigurationError, match="encoding='form' must be 'percent' or 'raw'"):
        ClientSecretBasic(wrong)


FILES = {each.name for each in pkgutil.iter_modules(client_authentication.__path__)} - {"protocol", "registry"}


@pytest.mark.parametrize("file", sorted(FILES))
def test_every_file_is_a_method_that_users_can_name(file: str) -> None:
    """A method's file bears its registered name; the registry has a row, and ``m2m_auth`` exports the class."""
    assert file in METHODS
    classes = set(importlib.import_module(f"{client_authentication.__name__}.{file}").__all__)
    assert classes <= set(client_authentication.__all__) & set(m2m_auth.__all__)
