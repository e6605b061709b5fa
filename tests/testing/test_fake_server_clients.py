"""Clients of FakeAuthorizationServer: how they authenticate, what is refused, what is recorded."""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from m2m_auth.testing import FakeAuthorizationServer

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


@pytest.mark.parametrize("style", ["basic", "post", "json"])
def test_client_authentication_and_body_forms(server: FakeAuthorizationServer, style: str) -> None:
    """HTTP Basic, credentials in the body and a JSON body work, and the record names the method."""
    posted = {**GRANT, "client_id": "client", "client_secret": "secret"}
    if style == "basic":
        response = ask(server)
    elif style == "post":
        response = requests.post(server.token_endpoint, data=posted, timeout=5)
    else:
        response = requests.post(server.token_endpoint, json=posted, timeout=5)
    assert response.status_code == 200
    expected = "client_secret_basic" if style == "basic" else "client_secret_post"
    assert server.requests[0].client_authentication == expected
    assert (server.requests[0].client_id, server.requests[0].status) == ("client", 200)


@pytest.mark.parametrize(
    ("auth", "parameters", "status", "error"),
    [
        (("client", "wrong"), {}, 401, "invalid_client"),
        (("stranger", "secret"), {}, 401, "invalid_client"),
        (None, {}, 401, "invalid_client"),
        (None, {"client_id": "client"}, 401, "invalid_client"),
        (CLIENT, {"client_secret": "secret"}, 400, "invalid_request"),
        (CLIENT, {"client_id": "other"}, 400, "invalid_request"),
        (CLIENT, {"grant_type": "password"}, 400, "unsupported_grant_type"),
        (CLIENT, {"grant_type": ""}, 400, "unsupported_grant_type"),
        (CLIENT, {"scope": ["a", "b"]}, 400, "invalid_request"),
    ],
)
def test_refusals(
    server: FakeAuthorizationServer, auth: Any, parameters: dict[str, Any], status: int, error: str
) -> None:
    """Wrong clients, mixed credentials, foreign grants and repeated parameters get RFC 6749 §5.2's errors."""
    response = ask(server, auth=auth, **parameters)
    assert (response.status_code, response.json()["error"]) == (status, error)
    assert (server.mints, server.token_requests) == (0, 1)
    assert server.requests[0].status == status


def test_not_a_token_request(server: FakeAuthorizationServer) -> None:
    """GET is 405, an unreadable body is invalid_request, an unknown path is 404; none of it is a mint."""
    assert requests.get(server.token_endpoint, timeout=5).status_code == 405
    for headers, data in [({"Content-Type": "application/json"}, "[1]"), ({"Content-Type": "text/plain"}, "x=y")]:
        response = requests.post(server.token_endpoint, data=data, headers=headers, auth=CLIENT, timeout=5)
        assert response.json()["error"] == "invalid_request"
    broken = requests.post(
        server.token_endpoint, data="{", headers={"Content-Type": "application/json"}, auth=CLIENT, timeout=5
    )
    assert broken.json()["error_description"] == "the body cannot be read"
    assert requests.get(server.base_url + "/nothing", timeout=5).status_code == 404
    assert server.mints == 0


def test_special_characters_in_basic(server: FakeAuthorizationServer) -> None:
    """By default Basic is percent-decoded (RFC 6749 §2.3.1); with ``raw`` it is not."""
    secret = "p%41 ü:+/"
    server.clients["my app"] = secret
    encoded = tuple(urllib.parse.quote(part, safe="") for part in ("my app", secret))
    raw = (b"my app", secret.encode())
    assert ask(server, auth=encoded).status_code == 200
    assert ask(server, auth=raw).status_code == 401
    server.basic_encoding = "raw"
    assert ask(server, auth=encoded).status_code == 401
    assert ask(server, auth=raw).status_code == 200


def test_any_client() -> None:
    """accept_any_client accepts unknown ids, wrong secrets and any assertion; a client id is still needed."""
    with FakeAuthorizationServer(accept_any_client=True) as server:
        assert ask(server, auth=("anyone", "anything")).status_code == 200
        assertion = "e30." + base64.urlsafe_b64encode(b'{"sub": "signer"}').decode().rstrip("=") + ".c2ln"
        assert ask(server, auth=None, client_assertion=assertion).status_code == 200
        assert (server.requests[1].client_id, server.requests[1].client_authentication) == ("signer", "private_key_jwt")
        assert ask(server, auth=None, client_assertion="nonsense").status_code == 401
        assert ask(server, auth=None).status_code == 401


def test_rotated_secret(server: FakeAuthorizationServer) -> None:
    """When a test changes a secret in ``clients``, the old one is refused at once."""
    server.clients["client"] = "new"
    assert ask(server).status_code == 401
    assert ask(server, auth=("client", "new")).status_code == 200


def test_records_show_no_secret(server: FakeAuthorizationServer) -> None:
    """A record has parameters, repeated resources as a list, and headers; its repr shows no secret."""
    requests.post(
        server.token_endpoint,
        data={**GRANT, "client_id": "client", "client_secret": "secret", "resource": ["urn:a", "urn:b", "urn:c"]},
        headers={"X-Trace": "1"},
        timeout=5,
    )
    (record,) = server.requests
    assert record.parameters["resource"] == ["urn:a", "urn:b", "urn:c"]
    assert record.parameters["client_secret"] == "secret"
    assert record.headers["x-trace"] == "1"
    assert "'secret'" not in repr(record)
    assert "'client_secret': '***'" in repr(record)
    ask(server)
    assert "Basic" not in repr(server.requests)
    assert "secret" not in repr(server)
