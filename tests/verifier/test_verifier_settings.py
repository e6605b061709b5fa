"""Verifiers from a framework's settings, and with a third-party issuer."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from real_servers import AuthorizationServer

from m2m_auth import TokenSource
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.errors import ConfigurationError
from m2m_auth.verifier import (
    IntrospectionVerifier,
    InvalidToken,
    JWTVerifier,
    LazyVerifier,
    VerifiedToken,
    verifier_from,
)

JWT = {"ISSUER": "https://tenant.example", "AUDIENCE": "api"}
INTROSPECTION = {"ENDPOINT": "https://as.example/introspect", "CLIENT_ID": "api", "CLIENT_SECRET": "s3cr3t-value"}


def test_both_kinds() -> None:
    """JWTs by their issuer, introspection by its endpoint; every option of the class, in capitals."""
    assert isinstance(verifier_from(JWT), JWTVerifier)
    assert isinstance(verifier_from({**JWT, "AUDIENCE": None, "ALGORITHMS": ["ES256"], "LEEWAY": 5}), JWTVerifier)
    assert isinstance(verifier_from({"INTROSPECTION": INTROSPECTION}), IntrospectionVerifier)
    assert isinstance(verifier_from({"INTROSPECTION": {**INTROSPECTION, "CACHE_FOR": 5}}), IntrospectionVerifier)


def test_a_users_own_verifier() -> None:
    """An object with ``verify`` is used as it is."""

    class Own:
        def verify(self, token: str) -> VerifiedToken:
            return VerifiedToken(client_id=token, scopes=frozenset(), claims={})

    own = Own()
    assert verifier_from(own) is own


def test_settings_that_make_no_sense() -> None:
    """The message says where and the fix, with the nearest name; no secret."""
    for settings, why in [
        (None, "R is not set"),
        ({}, "R is not set"),
        ("https://tenant.example", "R is not set"),
        ({"ISSUER": "https://tenant.example"}, "R lacks 'AUDIENCE'. Fix: set it (None, on purpose"),
        ({"AUDIENCE": "api"}, "R lacks 'ISSUER'"),
        ({**JWT, "JWKS_URL": "https://tenant.example"}, "did you mean 'JWKS_URI'?"),
        ({**JWT, "issuer": "x"}, "R has 'issuer'"),
        ({**JWT, "LEEWAY": "30"}, "R: JWTVerifier: leeway='30'"),
        ({**JWT, "INTROSPECTION": INTROSPECTION}, "Fix: move it into INTROSPECTION"),
        ({"INTROSPECTION": "https://as.example"}, 'R["INTROSPECTION"] must be a dict'),
        ({"INTROSPECTION": {"ENDPOINT": "https://as.example"}}, "R[\"INTROSPECTION\"] lacks 'CLIENT_ID'"),
        ({"INTROSPECTION": {**INTROSPECTION, "CACHE_TIME": 1}}, "R[\"INTROSPECTION\"] has 'CACHE_TIME'"),
        ({"INTROSPECTION": {**INTROSPECTION, "ENDPOINT": "http://as.example"}}, "is plain http"),
        ({"INTROSPEKTION": INTROSPECTION}, "did you mean 'INTROSPECTION'?"),
    ]:
        with pytest.raises(ConfigurationError) as caught:
            verifier_from(settings, "R")
        assert why in str(caught.value)
        assert "s3cr3t-value" not in str(caught.value)


class Slow(dict[str, Any]):
    """Settings that block until the test releases them, and count their reads."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        self.read = 0
        self.open = threading.Event()

    def items(self) -> Any:
        """The items, after the release."""
        self.read += 1
        self.open.wait(20)
        return super().items()


def test_threads_build_one_verifier() -> None:
    """16 first calls: one verifier, so one set of keys and one cache; other settings, another."""
    lazy, settings = LazyVerifier(), Slow(JWT)
    together = threading.Barrier(17)

    def first() -> int:
        together.wait(20)
        return id(lazy.of(settings, "R"))

    with ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(first) for _ in range(16)]
        together.wait(20)
        while not settings.read:
            threading.Event().wait(0.001)
        settings.open.set()
        assert {call.result(20) for call in calls} == {id(lazy.of(settings, "R"))}
    assert settings.read == 1
    assert lazy.of(dict(JWT), "R") is not lazy.of({"INTROSPECTION": INTROSPECTION}, "R")


@pytest.mark.processes
def test_authlibs_tokens_are_verified_by_its_keys(authlib_server: AuthorizationServer) -> None:
    """Authlib's RFC 9068 tokens are verified with keys that are fetched over HTTP."""
    source = TokenSource(authlib_server.token_endpoint, "client", "secret", scope="read", cache=MemoryTokenCache())
    issuer, audience = authlib_server.base_url, "https://api.example.com"
    token = source.token().value
    found = JWTVerifier(issuer, audience, authlib_server.jwks_url).verify(token)
    assert (found.client_id, found.scopes) == ("client", {"read"})
    with pytest.raises(InvalidToken, match="audience"):
        JWTVerifier(issuer, "https://other.example", authlib_server.jwks_url).verify(token)


@pytest.mark.processes
def test_introspection_needs_no_pyjwt() -> None:
    """The module is imported without PyJWT and without an HTTP library; the verifier of JWTs says what it lacks."""
    script = (
        "import sys; sys.modules['jwt'] = None\n"
        "import m2m_auth.verifier as v\n"
        "assert not {'requests', 'httpx', 'cryptography', 'django', 'flask'} & set(sys.modules)\n"
        "v.IntrospectionVerifier('https://as.example', 'api', 'secret')\n"
        "v.JWTVerifier('https://as.example', 'api')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert "pip install 'm2m-auth[jwt]'" in done.stderr
    assert done.stderr.count("Traceback") == 1
