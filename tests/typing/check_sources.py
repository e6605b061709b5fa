"""Type-checked, never run: how a TokenSource is built and used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import requests
from typing_extensions import assert_type

from m2m_auth import AccessToken, AnswerRules, RenewalPolicy, SourceStatus, TokenSource
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.caches.protocol import TokenCache
from m2m_auth.events import Event
from m2m_auth.oauth2.client_authentication.client_secret_basic import ClientSecretBasic
from m2m_auth.oauth2.client_authentication.client_secret_post import ClientSecretPost
from m2m_auth.oauth2.client_authentication.private_key_jwt import PrivateKeyJWT
from m2m_auth.oauth2.client_authentication.protocol import ClientAuthentication
from m2m_auth.oauth2.grants import ClientCredentials, Grant

URL = "https://tenant.example/oauth/token"


def heard(event: Event) -> None:
    """A subscriber."""


def fetched() -> str:
    """A secret source."""
    return "secret"


def flat(answer: dict[str, Any]) -> dict[str, object]:
    """An ``adapt``."""
    return {"access_token": answer["data"]["token"]}


source = TokenSource(URL, "client", "secret")
TokenSource(token_endpoint=URL, client_id="client", client_secret=fetched)
TokenSource(
    URL,
    "client",
    "secret",
    audience="https://api.example.com",
    scope="read write",
    resource="https://api.example.com",
    extra_parameters={"organization": "org"},
    client_authentication="client_secret_post",
    grant=ClientCredentials("json"),
    answers=AnswerRules(token_types=["bearer"], never_expires=-1, lifetime_unit="ms", adapt=flat),
    cache="disk:",
    encryption_keys=["0123456789abcdef", b"0123456789abcdef"],
    policy=RenewalPolicy(max_wait=5),
    transport=requests.Session(),
    on_event=heard,
    alias="billing",
)
TokenSource(URL, "client", "secret", scope=["read", "write"], resource=["urn:a", "urn:b"], cache=MemoryTokenCache())
TokenSource(URL, "client", "secret", scope={"read"}, transport=httpx.Client())

# For type checkers, an unknown option and a value of the wrong type are errors.
TokenSource(URL, "client", "secret", audiance="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
TokenSource(URL, "client", "secret", "x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
TokenSource(URL, "client", 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
TokenSource(URL, "client", "secret", audience=["x"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

callback: Callable[[], str] = source
cache: TokenCache = MemoryTokenCache()
grant: Grant = ClientCredentials()
methods: list[ClientAuthentication] = [ClientSecretBasic("raw"), ClientSecretPost(), PrivateKeyJWT(b"", "ES256")]


def used() -> None:
    """Without async."""
    assert_type(source.token(), AccessToken)
    assert_type(source.renew(), AccessToken)
    assert_type(source(), str)
    assert_type(source.status(), SourceStatus)
    assert_type(source.status().retry_in, float | None)
    source.reject(source.token())
    with source as same:
        assert_type(same, TokenSource)
    with source.watch() as watcher:
        assert_type(watcher.wait_until_ready(5.0), bool)


async def awaited() -> None:
    """With async."""
    assert_type(await source.atoken(), AccessToken)
    async with source as same:
        assert_type(same, TokenSource)


def a_token(token: AccessToken) -> None:
    """Its attributes."""
    assert_type(token.value, str)
    assert_type(token.authorization, str)
    assert_type(token.token_type, str)
    assert_type(token.scope, str | None)
    assert_type(token.expires_at, float)
    assert_type(token.issued_at, float)
    assert_type(token.fingerprint, str)
