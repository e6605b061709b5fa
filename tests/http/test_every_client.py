"""The core promises, with each of the seven clients: attach, replay, origin, body, errors, transport.

The other files run one client for each driver, or the clients whose own code matters there.
"""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import quote

import pytest
from bodies import CONTENT, refused_then_sent
from callers import CALLERS, Caller, clients

import m2m_auth
from m2m_auth import OriginNotAllowed, TokenEndpointUnavailable
from m2m_auth.testing import FakeAuthorizationServer, FakeClock

pytestmark = clients(*CALLERS)


@pytest.mark.loopback
def test_every_call_carries_the_token(caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any) -> None:
    """One Authorization header, "Bearer", one space, the token; the token is not in the URL; one mint."""
    for _ in range(10):
        assert caller.get(api + "?q=1").status == 200
    assert {call.headers["authorization"] for call in server.api_calls} == {f"Bearer {auth.source.token().value}"}
    assert {(call.path, call.query) for call in server.api_calls} == {("/api/things", "q=1")}
    assert server.mints == 1


@pytest.mark.loopback
def test_a_refused_token_is_replaced_and_the_call_replayed_once(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any
) -> None:
    """A revoked token costs one mint and one replay; the caller sees 200, with the closed 401 in its history."""
    refused = auth.source.token().authorization
    server.revoke_all()
    answer = caller.get(api)
    assert (answer.status, answer.statuses) == (200, [401])
    assert [call.status for call in server.api_calls] == [401, 200]
    assert server.mints == 2
    first, second = (call.headers["authorization"] for call in server.api_calls)
    assert first == refused != second == auth.source.token().authorization
    original = answer.history[0]
    assert original.raw.closed if caller.library.__name__ == "requests" else original.is_closed
    assert original.request.headers["Authorization"] == refused
    assert answer.raw.request.headers["Authorization"] == auth.source.token().authorization


@pytest.mark.loopback
def test_another_origin_gets_nothing(
    caller: Caller, server: FakeAuthorizationServer, elsewhere: FakeAuthorizationServer, auth: Any
) -> None:
    """After a redirect to another port no header arrives, and the 401 there causes neither a replay nor a mint."""
    trap = f"{server.base_url}/api/redirect?code=307&to={quote(elsewhere.base_url + '/api/trap', safe='')}"
    for _ in range(3):
        assert caller.post(trap, content=b"x").status == 401
    assert [call.authorized for call in elsewhere.api_calls] == [False] * 3
    assert (server.mints, elsewhere.token_requests, len(server.api_calls)) == (1, 0, 3)
    assert auth.source.status().state == "fresh"


@pytest.mark.loopback
def test_a_url_outside_the_allowed_origins(caller: Caller, server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """The call is refused before anything is minted or sent; the message names both origins."""
    caller.attach(caller.auth(server, clock, allowed_origins=["https://api.example.com"]))
    with pytest.raises(OriginNotAllowed, match=r"https://evil\.example: allowed_origins is https://api\.example\.com"):
        caller.get("https://evil.example/https://api.example.com/")
    assert (server.token_requests, server.api_calls) == (0, [])


@pytest.mark.loopback
@pytest.mark.parametrize(
    "body",
    [
        {"content": CONTENT},
        {"json": {"a": [1, 2, "ü"]}},
        {"files": {"upload": ("name.bin", io.BytesIO(CONTENT))}, "form": {"field": "value"}},
    ],
    ids=["bytes", "json", "multipart file"],
)
def test_a_body_is_sent_again_whole(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any, body: dict[str, Any]
) -> None:
    """The replay carries what the first attempt did, with the same headers."""
    for files in body.get("files", {}).values():
        files[1].seek(0)
    refused_then_sent(caller, server, api, **body)


@pytest.mark.loopback
def test_without_a_token_no_call_goes_out(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, api: str
) -> None:
    """The error is ours and the HTTP library's; each call raises a new one with its own request; later it works."""
    caller.attach(caller.auth(server, clock))
    server.fail("500")
    errors = []
    for path in ("/one", "/two"):
        with pytest.raises(caller.error) as caught:
            caller.get(api + path)
        assert isinstance(caught.value, TokenEndpointUnavailable)
        errors.append(caught.value)
    assert [str(error.request.url)[-4:] for error in errors] == ["/one", "/two"]
    assert (server.api_calls, server.token_requests) == ([], 1)
    server.recover()
    clock.advance(4000)
    assert caller.get(api).status == 200


def test_the_front_door_is_its_librarys_auth_class(caller: Caller) -> None:
    """isinstance checks of users and libraries hold, and the source is public."""
    base = caller.library.auth.AuthBase if caller.library.__name__ == "requests" else caller.library.Auth
    auth = caller.front_door.M2MAuth("https://as.example/token", "client", "secret")
    assert isinstance(auth, base)
    assert isinstance(auth.source, m2m_auth.TokenSource)
    assert caller.front_door.__all__ == ["M2MAuth"]
