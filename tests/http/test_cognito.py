"""A third real authorization server: Amazon Cognito, as ministack plays it.

How it differs from others: every refusal is a 400, ``invalid_client`` too (RFC 6749 §5.2 wants a 401 there).
A scope that the client may not have is ``invalid_grant``, one that does not exist ``invalid_scope``, and one that does
not exist beside a good one is dropped silently, since no answer names the scope. There is no audience and no
resource. Without a scope in the request the token has all that the client may have.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import boto3
import pytest
from callers import Caller, open_caller
from real_servers.fault_proxy import FaultProxy
from real_servers.stores import start_dynamodb

from m2m_auth import TokenRequestRejected, TokenSource
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.oauth2.client_authentication.client_secret_basic import ClientSecretBasic
from m2m_auth.requests import M2MAuth
from m2m_auth.testing import FakeAuthorizationServer

pytestmark = pytest.mark.processes

some_callers = pytest.mark.parametrize("caller", ["requests", "httpx", "httpx-asyncio", "httpx2-trio"], indirect=True)


class Cognito(NamedTuple):
    """A user pool with one confidential client, behind a proxy that counts requests."""

    proxy: FaultProxy
    client_id: str
    client_secret: str

    @property
    def token_endpoint(self) -> str:
        """The URL of the pool's domain on the test machine."""
        return f"http://{self.proxy.address}/oauth2/token"

    def options(self, **more: Any) -> dict[str, Any]:
        """A client of the pool, with a private cache."""
        options: dict[str, Any] = {"client_id": self.client_id, "client_secret": self.client_secret}
        return {"cache": MemoryTokenCache(), "scope": "orders/read", **options, **more}


@pytest.fixture(scope="module")
def pool() -> Iterator[Cognito]:
    """A pool, its resource server with three scopes, and a client that may have two of them, for five minutes."""
    with start_dynamodb() as store, FaultProxy(store.port) as proxy:
        cognito: Any = boto3.client(
            "cognito-idp",
            region_name="eu-west-1",
            endpoint_url=f"http://{store.address}",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        user_pool = cognito.create_user_pool(PoolName="services")["UserPool"]["Id"]
        scopes = [{"ScopeName": name, "ScopeDescription": name} for name in ("read", "write", "admin")]
        cognito.create_resource_server(UserPoolId=user_pool, Identifier="orders", Name="Orders", Scopes=scopes)
        client = cognito.create_user_pool_client(
            UserPoolId=user_pool,
            ClientName="service",
            GenerateSecret=True,
            AllowedOAuthFlows=["client_credentials"],
            AllowedOAuthFlowsUserPoolClient=True,
            AllowedOAuthScopes=["orders/read", "orders/write"],
            AccessTokenValidity=5,
            TokenValidityUnits={"AccessToken": "minutes"},
        )["UserPoolClient"]
        cognito.close()
        yield Cognito(proxy, client["ClientId"], client["ClientSecret"])


@pytest.fixture
def cognito(pool: Cognito) -> Cognito:
    """The pool, its count at zero."""
    pool.proxy.requests = 0
    return pool


@pytest.fixture
def api() -> Iterator[FakeAuthorizationServer]:
    """An API that accepts and records every token."""
    with FakeAuthorizationServer() as server:
        server.accept_tokens = "all"
        yield server


def claims(token: str) -> dict[str, Any]:
    """The claims of a JWT."""
    body = token.split(".")[1]
    said: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return said


def test_two_libraries_share_one_mint(cognito: Cognito, api: FakeAuthorizationServer) -> None:
    """requests and httpx, each with an M2MAuth of its own: one token request, and the API sees that one token."""
    options = cognito.options()
    for name in ("requests", "httpx"):
        with open_caller(name) as caller:
            caller.attach(caller.front_door.M2MAuth(cognito.token_endpoint, **options))
            assert [caller.get(api.base_url + "/api/orders").status for _ in range(10)] == [200] * 10
    assert cognito.proxy.requests == 1
    (token,) = {call.token for call in api.api_calls}
    assert token is not None
    said = claims(token)
    assert (said["client_id"], said["scope"], said["token_use"]) == (cognito.client_id, "orders/read", "access")


@some_callers
def test_the_lifetime_is_the_pools(caller: Caller, cognito: Cognito, api: FakeAuthorizationServer) -> None:
    """``expires_in`` and the JWT agree: five minutes."""
    auth = caller.front_door.M2MAuth(cognito.token_endpoint, **cognito.options())
    caller.attach(auth)
    assert caller.get(api.base_url + "/api/orders").status == 200
    token = auth.source.token()
    assert token.expires_at - token.issued_at == pytest.approx(300, abs=2)
    assert token.expires_at == pytest.approx(claims(token.value)["exp"], abs=2)


@some_callers
def test_a_wrong_secret(caller: Caller, cognito: Cognito, api: FakeAuthorizationServer) -> None:
    """A 400 with ``invalid_client``: raised with its code and remembered; no call is sent."""
    wrong = cognito.options(client_secret="wrong")
    caller.attach(caller.front_door.M2MAuth(cognito.token_endpoint, **wrong))
    for _ in range(5):
        with pytest.raises(TokenRequestRejected, match="400 invalid_client") as caught:
            caller.get(api.base_url + "/api/orders")
        assert (caught.value.status, caught.value.error, caught.value.cause_code) == (400,) + ("invalid_client",) * 2
        assert isinstance(caught.value, caller.error)
    assert (cognito.proxy.requests, api.api_calls) == (1, [])


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"client_id": "stranger"}, "invalid_client"),
        ({"scope": "orders/admin"}, "invalid_grant"),
        ({"scope": "orders/delete"}, "invalid_scope"),
        ({"scope": "openid"}, "invalid_scope"),
    ],
    ids=["unknown client", "not allowed", "not defined", "for people"],
)
def test_other_refusals(cognito: Cognito, options: dict[str, str], code: str) -> None:
    """Each is raised with Cognito's own code, and asked only once."""
    with TokenSource(cognito.token_endpoint, **cognito.options(**options)) as source:
        for _ in range(3):
            with pytest.raises(TokenRequestRejected, match=f"400 {code}") as caught:
                source.token()
            assert (caught.value.status, caught.value.error) == (400, code)
    assert cognito.proxy.requests == 1


@pytest.mark.parametrize(
    "method",
    ["client_secret_basic", "client_secret_post", ClientSecretBasic(encoding="raw")],
    ids=["basic", "post", "raw basic"],
)
def test_ways_to_authenticate(cognito: Cognito, method: Any) -> None:
    """HTTP Basic and the form; ministack's secrets have ``/`` and ``+`` in them, and it decodes ``%2F``."""
    with TokenSource(cognito.token_endpoint, **cognito.options(client_authentication=method)) as source:
        assert claims(source.token().value)["scope"] == "orders/read"


def test_scopes(cognito: Cognito) -> None:
    """Several scopes are one token; without a scope it is all that the client may have."""
    for asked in (["orders/write", "orders/read"], None):
        with TokenSource(cognito.token_endpoint, **cognito.options(scope=asked)) as source:
            assert set(claims(source.token().value)["scope"].split()) == {"orders/read", "orders/write"}


def test_a_scope_that_is_dropped_silently(cognito: Cognito) -> None:
    """The answer names no scope, which means "as requested" (RFC 6749 §5.1); only the token shows that it is not."""
    auth = M2MAuth(cognito.token_endpoint, **cognito.options(scope="orders/read orders/delete"))
    token = auth.source.token()
    assert claims(token.value)["scope"] == "orders/read"
    auth.source.close()
