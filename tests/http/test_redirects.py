"""Redirects: the same origin still gets the token; another one gets no token, and causes no replay and no mint."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from callers import Caller, clients

from m2m_auth.testing import FakeAuthorizationServer, FakeClock

pytestmark = pytest.mark.loopback

CODES = [303, 307]
"""One that turns a POST into a GET, one that keeps it."""


def redirect(server: FakeAuthorizationServer, to: str, code: int = 307) -> str:
    """A URL of the server's API that redirects."""
    return f"{server.base_url}/api/redirect?code={code}&to={quote(to, safe='')}"


@pytest.mark.parametrize("code", CODES)
def test_the_token_stays_with_its_origin(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any, code: int
) -> None:
    """A request that follows a redirect within the API carries the token."""
    answer = caller.get(redirect(server, api, code))
    assert (answer.status, answer.statuses) == (200, [code])
    assert [call.path for call in server.api_calls] == ["/api/redirect", "/api/things"]
    assert len({call.token for call in server.api_calls}) == 1
    assert server.mints == 1


@pytest.mark.parametrize("code", CODES)
def test_a_401_before_the_redirect(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any, code: int
) -> None:
    """A refused token is replaced first, then the redirect is followed."""
    server.revoke_all()
    assert caller.get(redirect(server, api, code)).status == 200
    assert server.mints == 2
    assert server.api_calls[0].status == 401
    assert server.api_calls[-1].status == 200


def revoked_between(server: FakeAuthorizationServer) -> None:
    """Makes the server revoke every token right after its first redirect."""

    class Then(dict[str, str]):
        """Headers of API answers; handing them out the first time revokes the tokens."""

        def items(self) -> Any:
            server.api_headers = {}
            server.revoke_all()
            return super().items()

    server.api_headers = Then()


@pytest.mark.parametrize("code", CODES)
def test_a_401_from_a_redirects_target(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any, code: int
) -> None:
    """Only the refused request is replayed: a POST that was answered with 303 is never posted again.

    The redirect stays in the history, before the 401.
    """
    revoked_between(server)
    answer = caller.post(redirect(server, api, code), content=b"order")
    assert answer.status == 200
    assert answer.statuses[0] == code
    method = "POST" if code in (307, 308) else "GET"
    assert [(call.method, call.path, call.status) for call in server.api_calls] == [
        ("POST", "/api/redirect", code),
        (method, "/api/things", 401),
        (method, "/api/things", 200),
    ]
    assert server.api_calls[-1].body_length == (5 if method == "POST" else 0)
    assert server.mints == 2


def test_another_name_of_the_same_host_is_another_origin(
    caller: Caller, server: FakeAuthorizationServer, auth: Any
) -> None:
    """127.0.0.1 and localhost are two origins on one machine."""
    other_name = server.base_url.replace("127.0.0.1", "localhost") + "/api/things"
    assert caller.get(redirect(server, other_name)).status == 401
    assert [call.authorized for call in server.api_calls] == [True, False]
    assert server.mints == 1


def test_a_redirect_to_a_foreign_host_and_back(
    caller: Caller, server: FakeAuthorizationServer, elsewhere: FakeAuthorizationServer, api: str, auth: Any
) -> None:
    """After a foreign host redirects back, the call carries no token, and nothing is minted."""
    elsewhere.accept_tokens = "active"
    elsewhere.api_status = 307
    elsewhere.api_headers = {"Location": api}
    answer = caller.get(redirect(server, elsewhere.base_url + "/api/trap"))
    assert answer.status == 401
    assert [call.authorized for call in (*server.api_calls, *elsewhere.api_calls)] == [True, False, False]
    assert server.mints == 1


def test_a_loop_of_redirects_ends(
    caller: Caller, server: FakeAuthorizationServer, elsewhere: FakeAuthorizationServer, auth: Any
) -> None:
    """Two hosts redirect to each other without end: the library's limit ends it; nothing is minted or leaked."""
    elsewhere.api_status = 307
    elsewhere.api_headers = {"Location": redirect(server, elsewhere.base_url + "/api/trap")}
    server.accept_tokens = "all"
    server.api_status = 307
    server.api_headers = {"Location": elsewhere.base_url + "/api/trap"}
    with pytest.raises(caller.library.TooManyRedirects):
        caller.get(server.base_url + "/api/redirect")
    assert not any(call.authorized for call in elsewhere.api_calls)
    assert server.mints == 1


def test_a_session_that_keeps_the_header(
    server: FakeAuthorizationServer, elsewhere: FakeAuthorizationServer, clock: FakeClock
) -> None:
    """A requests.Session subclass may keep the header; even so a foreign 401 causes no replay and no mint."""
    import requests

    from m2m_auth.requests import M2MAuth

    class Trusting(requests.Session):
        """Keeps the Authorization header on every redirect."""

        def rebuild_auth(self, prepared_request: Any, response: Any) -> None:
            """Leaves the header alone."""

    with Trusting() as session:
        session.trust_env = False
        session.auth = M2MAuth(server.token_endpoint, "client", "secret", clock=clock)
        session.auth.source.token()
        clock.advance(60)
        for _ in range(3):
            assert session.get(redirect(server, elsewhere.base_url + "/api/trap"), timeout=20).status_code == 401
        assert session.auth.source.status().state == "fresh"
    assert [call.authorized for call in elsewhere.api_calls] == [True] * 3
    assert (server.mints, len(server.api_calls)) == (1, 3)


@clients("httpx", "httpx2")
def test_a_client_that_keeps_the_header(
    caller: Caller, server: FakeAuthorizationServer, elsewhere: FakeAuthorizationServer, auth: Any
) -> None:
    """The same for httpx, where an event hook may set the header again: a foreign 401 rejects no token."""
    kept = auth.source.token().authorization

    def keep(request: Any) -> None:
        request.headers["Authorization"] = kept

    caller.client.event_hooks = {"request": [keep]}
    for _ in range(3):
        assert caller.get(redirect(server, elsewhere.base_url + "/api/trap")).status == 401
    assert auth.source.status().state == "fresh"
    assert [call.authorized for call in elsewhere.api_calls] == [True] * 3
    assert (server.mints, len(server.api_calls)) == (1, 3)


def test_redirects_that_the_caller_does_not_follow(
    caller: Caller, server: FakeAuthorizationServer, elsewhere: FakeAuthorizationServer, auth: Any
) -> None:
    """Without redirects the caller gets the 307, and nothing is sent to the other host."""
    name = "allow_redirects" if caller.library.__name__ == "requests" else "follow_redirects"
    answer = caller.get(redirect(server, elsewhere.base_url + "/api/trap"), **{name: False})
    assert (answer.status, elsewhere.api_calls) == (307, [])
