"""No secret, key, token or assertion shows in objects, in configuration errors, or in pickles."""

from __future__ import annotations

import copy
import importlib
import json
import pickle
from collections.abc import Iterator
from typing import Any

import canaries
import pytest
from canaries import SECRET, TOKEN, Needles, recorded, shown_by, shown_by_error
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from front_doors import INSTALLED

from m2m_auth import ConfigurationError, TokenSource, TokenUnavailable
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.oauth2.client_authentication.private_key_jwt import PrivateKeyJWT
from m2m_auth.source.registry import forget_everything
from m2m_auth.source.token_source import engine_of
from m2m_auth.testing import FakeAuthorizationServer


@pytest.fixture
def needles() -> Needles:
    """The texts that must not show."""
    return Needles(SECRET, TOKEN)


@pytest.fixture
def server() -> Iterator[FakeAuthorizationServer]:
    """A server that mints only the canary token, for one client with the canary secret."""
    forget_everything()
    with FakeAuthorizationServer(clients={"client": SECRET}) as server:
        server.extra_response["access_token"] = TOKEN
        yield server


def source_of(server: FakeAuthorizationServer, **options: Any) -> TokenSource:
    """A source with the canary secret."""
    options = {"client_secret": SECRET, **options}
    return TokenSource(server.token_endpoint, "client", **options)


def build(library: str, **options: Any) -> object:
    """A source, or a front door's M2MAuth."""
    name = "m2m_auth" if library == "source" else f"m2m_auth.{library}"
    cls = getattr(importlib.import_module(name), "TokenSource" if library == "source" else "M2MAuth")
    return cls("https://tenant.example/oauth/token", "client", **options)


@pytest.mark.parametrize("library", [*INSTALLED, "source"])
def test_a_half_built_object_has_a_repr(library: str) -> None:
    """An error reporter may print an object whose __init__ has raised: its repr must not raise."""
    with pytest.raises(TypeError) as caught:
        build(library, client_secret=SECRET, no_such_option=1)
    for frame in canaries.frames(caught.value, __file__):
        if "self" in frame.f_locals:
            assert repr(frame.f_locals["self"]).startswith("<")


@pytest.mark.parametrize("library", [*INSTALLED, "source"])
@pytest.mark.parametrize(
    "options",
    [
        {"client_secret": SECRET + "\n"},
        {"client_secret": SECRET, "no_such_option": 1},
        {"client_secert": SECRET},
        {"encryption_key": [SECRET]},
        {"client_secret": SECRET, "scope": "a,b"},
        {"client_secret": SECRET, "cache": "nonsense:"},
        {"client_secret": SECRET, "client_authentication": "nonsense"},
        {"client_secret": SECRET, "encryption_keys": [SECRET, 1]},
        {"client_secret": SECRET.encode()},
    ],
    ids=["white space", "option", "typo", "typo in keys", "scope", "cache", "method", "keys", "bytes"],
)
def test_configuration_errors(needles: Needles, library: str, options: dict[str, Any]) -> None:
    """After a mistake in the options, no message and no local below the caller's frame holds the secret."""
    with pytest.raises((TypeError, ConfigurationError)) as caught:
        build(library, **options)
    shown = list(shown_by_error(caught.value, __file__))
    assert [text for text in shown if needles.found_in(text)] == []


@pytest.mark.loopback
def test_private_key_and_assertion(server: FakeAuthorizationServer) -> None:
    """A private key, and the assertion signed with it, show neither in objects nor in errors."""
    private = ec.generate_private_key(ec.SECP256R1())
    encodings = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem = private.private_bytes(*encodings).decode()
    needles = Needles(TOKEN, *pem.splitlines()[1:-1], str(private.private_numbers().private_value))
    method = PrivateKeyJWT(pem, algorithm="ES256")
    server.accept_any_client = True
    server.fail("oauth_error", 1, error="invalid_client")
    with recorded() as record:
        source = source_of(server, client_secret=None, client_authentication=method, on_event=record.on_event)
        with pytest.raises(TokenUnavailable) as caught:
            source.token()
        record.shown += [*shown_by(method), *shown_by(source), *shown_by(engine_of(source).state)]
    needles.add(server.requests[0].parameters["client_assertion"])
    shown = [*record.shown, *shown_by_error(caught.value, __file__)]
    assert [text for text in shown if needles.found_in(text)] == []


def objects(server: FakeAuthorizationServer) -> Iterator[object]:
    """The objects that a user holds, and those behind them."""
    source = source_of(server, cache=MemoryTokenCache())
    yield source.token()
    yield source
    yield from (importlib.import_module(f"m2m_auth.{name}").M2MAuth.from_source(source) for name in INSTALLED)
    with source.watch() as watcher:
        yield watcher
    yield engine_of(source).state
    yield engine_of(source).state.held
    yield source.status()


@pytest.mark.loopback
def test_objects(server: FakeAuthorizationServer, needles: Needles) -> None:
    """No secret in the repr, str and format of objects and of their attributes."""
    found = [text for thing in objects(server) for text in shown_by(thing) if needles.found_in(text)]
    assert found == []


@pytest.mark.loopback
def test_nothing_is_pickled_or_dumped(server: FakeAuthorizationServer, needles: Needles) -> None:
    """Pickle refuses, or holds no secret; tokens, sources and front doors copy to themselves; JSON shows no secret."""
    for thing in objects(server):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            try:
                pickled = pickle.dumps(thing, protocol)
            except (TypeError, pickle.PicklingError):
                continue
            assert not needles.found_in(pickled.decode("latin-1"))
        assert not needles.found_in(json.dumps({"thing": thing}, default=str))
    for thing in list(objects(server))[: 2 + len(INSTALLED)]:
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(thing)
        assert copy.deepcopy({"thing": thing})["thing"] is copy.copy(thing) is thing
