"""Tokens of FakeAuthorizationServer: their form, their lifetime and their counts."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from m2m_auth.testing import FakeAuthorizationServer, FakeClock

pytestmark = pytest.mark.loopback

GRANT = {"grant_type": "client_credentials"}
CLIENT = ("client", "secret")


@pytest.fixture
def server() -> Iterator[FakeAuthorizationServer]:
    """A running server with its defaults."""
    with FakeAuthorizationServer() as running:
        yield running


def ask(server: FakeAuthorizationServer, auth: Any = CLIENT, **parameters: Any) -> requests.Response:
    """A token request, by default of the default client."""
    return requests.post(server.token_endpoint, data={**GRANT, **parameters}, auth=auth, timeout=5)


def claims(token: str) -> dict[str, Any]:
    """The claims of a JWT."""
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=="))


def test_a_token_is_issued_and_counted(server: FakeAuthorizationServer) -> None:
    """The answer follows RFC 6749 §5.1, each token is new, and both counters count it."""
    first, second = ask(server, scope="read write"), ask(server)
    assert first.status_code == 200
    assert first.headers["Cache-Control"] == "no-store"
    assert first.headers["Content-Type"] == "application/json"
    answer = first.json()
    assert (answer["token_type"], answer["expires_in"], answer["scope"]) == ("Bearer", 3600, "read write")
    assert type(answer["expires_in"]) is int
    assert second.json()["access_token"] != answer["access_token"]
    assert "scope" not in second.json()
    assert (server.mints, server.token_requests) == (2, 2)
    assert (server.issuer, server.token_endpoint) == (server.base_url, server.base_url + "/oauth/token")


@pytest.mark.parametrize(("lifetime", "said"), [(5, 5), (2.5, 2.5), (86_400.0, 86_400)])
def test_lifetime(server: FakeAuthorizationServer, lifetime: float, said: float) -> None:
    """expires_in is the lifetime, as a whole number if possible."""
    server.lifetime = lifetime
    assert ask(server).json()["expires_in"] == said


def test_odd_answers(server: FakeAuthorizationServer) -> None:
    """Members can be overridden with anything, null included, or left out; headers can be added."""
    server.extra_response = {"expires_in": "3600 ", "token_type": "DPoP", "scope": None, "refresh_token": "r"}
    server.leave_out = {"access_token"}
    server.extra_headers = {"Auth0-Client-Quota-Limit": "b=per_hour;q=10;r=1;t=5"}
    response = ask(server, scope="a")
    assert response.json() == {"expires_in": "3600 ", "token_type": "DPoP", "scope": None, "refresh_token": "r"}
    assert response.headers["Auth0-Client-Quota-Limit"].startswith("b=per_hour")
    server.lifetime, server.leave_out, server.extra_response = None, set(), {}
    assert set(ask(server).json()) == {"access_token", "token_type"}


def test_jwt(server: FakeAuthorizationServer) -> None:
    """A JWT carries issuer, client, scope, audience and times whose difference is the lifetime."""
    server.token_format = "jwt"
    server.lifetime = 5
    token = ask(server, audience="https://api.example", scope="a").json()["access_token"]
    read = claims(token)
    assert read["exp"] - read["iat"] == 5
    assert (read["iss"], read["sub"], read["aud"], read["scope"]) == (
        server.issuer,
        "client",
        "https://api.example",
        "a",
    )
    assert ask(server, audience="https://api.example").json()["access_token"] != token
    server.lifetime = None
    assert "exp" not in claims(ask(server).json()["access_token"])


def test_same_token() -> None:
    """With same_token the latest token comes again with its remaining lifetime until it expires; each answer counts."""
    clock = FakeClock()
    with FakeAuthorizationServer(same_token=True, lifetime=10, clock=clock) as server:
        first = ask(server).json()
        clock.advance(3.5)
        again = ask(server).json()
        assert again["access_token"] == first["access_token"]
        assert again["expires_in"] == 6
        assert ask(server, scope="other").json()["access_token"] != first["access_token"]
        clock.advance(6)
        assert ask(server).json()["access_token"] != first["access_token"]
        assert server.mints == 4


def test_expiry_and_revocation() -> None:
    """A token is active until its lifetime is over or it is revoked, on the server's clock."""
    clock = FakeClock()
    with FakeAuthorizationServer(lifetime=10, clock=clock) as server:
        one, two, three = (ask(server).json()["access_token"] for _ in range(3))
        assert server.is_active(one)
        server.revoke(one)
        assert not server.is_active(one)
        assert server.is_active(two)
        server.revoke_all()
        assert not server.is_active(two)
        assert not server.is_active("foreign")
        four = ask(server).json()["access_token"]
        clock.jump_wall(3600)
        assert server.is_active(four), "the server is another machine: the client's wrong clock does not affect it"
        clock.suspend(10)
        assert not server.is_active(four), "time goes on at the server while the client is suspended"
        with pytest.raises(ValueError, match="not issued by this server") as caught:
            server.revoke("foreign")
        assert "foreign" not in str(caught.value)
        assert three not in repr(server)


def test_introspection(server: FakeAuthorizationServer) -> None:
    """RFC 7662: claims of an active token, only active=false for another one, and only for clients."""
    token = ask(server, scope="a").json()["access_token"]

    def introspect(value: str, auth: Any = CLIENT) -> requests.Response:
        return requests.post(server.base_url + "/introspect", data={"token": value}, auth=auth, timeout=5)

    active = introspect(token).json()
    assert active["active"] is True
    assert (active["client_id"], active["scope"], active["exp"] - active["iat"]) == ("client", "a", 3600)
    assert introspect("foreign").json() == {"active": False}
    assert introspect(token, auth=("client", "wrong")).status_code == 401
    server.revoke(token)
    assert introspect(token).json() == {"active": False}
    assert server.token_requests == 1


def test_many_at_once(server: FakeAuthorizationServer) -> None:
    """64 clients at once are all served, and every mint is counted."""
    barrier = threading.Barrier(64)
    statuses: list[int] = []

    def one() -> None:
        barrier.wait()
        statuses.append(ask(server).status_code)

    threads = [threading.Thread(target=one) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 64
    assert server.mints == 64
