"""How the token endpoint is reached: by the front door's private client, by the user's client, or by a callable."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from callers import SYNC, Caller, open_caller
from wire import Wire, reply

import m2m_auth.httpx
import m2m_auth.requests
from m2m_auth import ConfigurationError, RenewalPolicy, TokenRequestRejected, TokenSource, TokenUnavailable
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.oauth2.transport import HttpRequest, HttpResponse, TransportError
from m2m_auth.testing import FakeAuthorizationServer
from m2m_auth.values import replace

pytestmark = pytest.mark.loopback

HASTY = RenewalPolicy(mint_deadline=0.5)
GRANT = b'{"access_token": "t", "token_type": "Bearer", "expires_in": 3600}'


@pytest.fixture(params=SYNC)
def caller(request: pytest.FixtureRequest) -> Iterator[Caller]:
    """A client of each library, since the private transport is made of it."""
    pytest.importorskip(request.param)
    with open_caller(request.param) as opened:
        yield opened


@pytest.fixture(params=SYNC)
def library(request: pytest.FixtureRequest) -> Any:
    """Each library that a transport may be made of."""
    return pytest.importorskip(request.param)


def client_of(library: Any, **options: Any) -> Any:
    """The library's own client, as a user makes it."""
    if library.__name__ == "requests":
        session = library.Session()
        for name, value in options.items():
            setattr(session, name, value)
        return session
    return library.Client(**options)


def test_a_redirect_is_not_followed(caller: Caller, server: FakeAuthorizationServer, elsewhere: Any) -> None:
    """The secret goes to the token endpoint alone; the message says what to do."""
    for status in (302, 307):
        server.fail("redirect", 1, location=elsewhere.token_endpoint, status=status)
        with pytest.raises(TokenRequestRejected, match="set token_endpoint to the redirect's target"):
            caller.auth(server).source.token()
    assert elsewhere.requests == []


@pytest.mark.parametrize("mode", ["hang", "slow_drip"])
def test_a_server_without_an_end(caller: Caller, server: FakeAuthorizationServer, api: str, mode: Any) -> None:
    """No answer, or one that drips for half a minute: the call ends at the deadline, and the error says so."""
    server.extra_response = {"padding": "x" * 30_000}
    server.fail(mode, **({"interval": 0.001} if mode == "slow_drip" else {}))
    began = time.monotonic()
    with pytest.raises(caller.error, match=r"no answer within 0\.5 s") as caught:
        caller.get(api, auth=caller.auth(server, policy=HASTY))
    assert isinstance(caught.value, TokenUnavailable)
    assert caught.value.cause_code == "timeout"
    assert time.monotonic() - began < 10
    assert server.api_calls == []


def test_callers_do_not_wait_for_a_head_that_drips(caller: Caller, server: FakeAuthorizationServer, api: str) -> None:
    """max_wait bounds what a caller waits for them, whatever the deadline of the exchange."""
    server.fail("slow_drip", interval=0.2)
    began = time.monotonic()
    with pytest.raises(caller.error):
        caller.get(api, auth=caller.auth(server, policy=replace(HASTY, max_wait=1.0)))
    assert time.monotonic() - began < 10
    assert server.api_calls == []


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (reply(200, GRANT[:20], length=len(GRANT)), "timeout"),
        (reply(200, b"\x1f\x8b\x08not gzip at all", "Content-Encoding: gzip"), "malformed_response"),
        (b"not HTTP at all\r\n\r\n", "connection"),
    ],
    ids=["half an answer", "bad gzip", "nonsense"],
)
def test_a_broken_answer(caller: Caller, answer: bytes, code: str) -> None:
    """An error while a body is read is a transport error, too. A cold start tries twice after what may be a blip."""
    with Wire([answer] * 2) as server:
        source = caller.front_door.M2MAuth(
            server.base_url + "/token", "client", "secret", cache=MemoryTokenCache(), policy=HASTY
        ).source
        with pytest.raises(TokenUnavailable) as caught:
            source.token()
    assert caught.value.cause_code == code


def test_netrc_is_not_read(
    caller: Caller, server: FakeAuthorizationServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials for the host in ~/.netrc replace neither the client's at the token endpoint nor the token."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login other password wrong\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert requests.utils.get_netrc_auth(server.base_url) == ("other", "wrong")  # it would be found
    caller.attach(caller.auth(server))
    assert caller.get(server.base_url + "/api/things").status == 200
    assert [request.client_id for request in server.requests] == ["client"]


def test_the_environments_proxy_is_used(
    caller: Caller, server: FakeAuthorizationServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The private client obeys HTTP_PROXY and NO_PROXY, as its library does."""
    with Wire([reply(200, GRANT)]) as proxy:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, proxy.base_url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(name, "")
        assert caller.auth(server).source.token().value == "t"
        assert proxy.heads[0].startswith(b"POST " + server.token_endpoint.encode())
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(name, "127.0.0.1")
        assert caller.auth(server).source.token().value != "t"
    assert server.mints == 1


def test_the_users_client_is_the_transport(caller: Caller, server: FakeAuthorizationServer, library: Any) -> None:
    """A client of any of the libraries works in any front door: its headers are sent, its auth is not used."""
    with client_of(library, headers={"X-Mine": "1"}, auth=("other", "wrong")) as client:
        for _ in range(2):
            auth = caller.auth(server, transport=client)
            assert caller.get(server.base_url + "/api/things", auth=auth).status == 200
    assert [(request.headers["x-mine"], request.client_id) for request in server.requests] == [("1", "client")] * 2


def test_the_users_client_does_not_redirect_secrets(
    server: FakeAuthorizationServer, elsewhere: FakeAuthorizationServer, library: Any
) -> None:
    """A client that follows redirects does not follow one of the token endpoint."""
    server.fail("redirect", location=elsewhere.token_endpoint, status=307)
    options = {} if library.__name__ == "requests" else {"follow_redirects": True}
    with client_of(library, **options) as client:
        source = TokenSource(server.token_endpoint, "client", "secret", transport=client, cache=MemoryTokenCache())
        with pytest.raises(TokenRequestRejected):
            source.token()
    assert elsewhere.requests == []


def test_a_client_that_raises_for_statuses(server: FakeAuthorizationServer, library: Any) -> None:
    """A refusal stays a refusal where the user's hook raises for it."""

    def hook(response: Any, **_: Any) -> None:
        response.raise_for_status()

    server.fail("invalid_client")
    name = "hooks" if library.__name__ == "requests" else "event_hooks"
    with client_of(library, **{name: {"response": [hook]}}) as client:
        source = TokenSource(server.token_endpoint, "client", "secret", transport=client, cache=MemoryTokenCache())
        with pytest.raises(TokenRequestRejected, match="401") as caught:
            source.token()
    assert caught.value.status == 401


@pytest.mark.processes
def test_the_first_token_imports_nothing(server: FakeAuthorizationServer, library: Any) -> None:
    """A flight that imports a library looks like a slow server, and a fork meanwhile leaves half a module behind."""
    script = (
        f"import sys, m2m_auth.{library.__name__} as door; "
        f"source = door.M2MAuth({server.token_endpoint!r}, 'client', 'secret').source; "
        "before = set(sys.modules); source.token(); print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


class ApiError(Exception):
    """What the hooks of a user's clients raise."""


@pytest.mark.parametrize("reads", [True, False], ids=["read", "unread"])
def test_a_client_that_raises_an_error_of_its_own(server: FakeAuthorizationServer, library: Any, reads: bool) -> None:
    """The answer counts, whatever the user's hook raises for it: a refused secret is fetched again."""

    def hook(response: Any, **_: Any) -> None:
        if response.status_code >= 400:
            if reads:
                response.read() if hasattr(response, "read") else response.content
            raise ApiError(response.status_code)

    secrets = iter(["old", "secret"])
    name = "hooks" if library.__name__ == "requests" else "event_hooks"
    with client_of(library, **{name: {"response": [hook]}}) as client:
        options = {"transport": client, "cache": MemoryTokenCache()}
        assert TokenSource(server.token_endpoint, "client", lambda: next(secrets), **options).token()
        server.fail("oauth_error", error="invalid_scope")
        with pytest.raises(TokenRequestRejected) as caught:
            TokenSource(server.token_endpoint, "client", "secret", scope="a", **options).token()
    assert caught.value.status == 400
    if reads or library.__name__ == "requests":  # httpx closes a response for which a hook has raised
        assert caught.value.error == "invalid_scope"


def test_a_body_that_does_not_come_while_a_hook_reads(library: Any) -> None:
    """It is a timeout, although a status and headers have come."""

    def hook(response: Any, **_: Any) -> None:
        response.read() if hasattr(response, "read") else response.content

    name = "hooks" if library.__name__ == "requests" else "event_hooks"
    with (
        Wire([reply(401, b"{", length=100)]) as server,
        client_of(library, **{name: {"response": [hook]}}) as client,
    ):
        source = TokenSource(
            f"{server.base_url}/token", "client", "secret", transport=client, cache=MemoryTokenCache(), policy=HASTY
        )
        with pytest.raises(TokenUnavailable) as caught:
            source.token()
    assert caught.value.cause_code == "timeout"


def test_a_client_whose_auth_is_ours_does_not_recurse(server: FakeAuthorizationServer, library: Any) -> None:
    """One client for the API and for the token request: the token request carries the client's credentials."""
    front_door = {"requests": m2m_auth.requests, "httpx": m2m_auth.httpx}.get(library.__name__)
    if front_door is None:
        import m2m_auth.httpx2 as front_door  # type: ignore[no-redef]
    with client_of(library) as client:
        client.auth = front_door.M2MAuth(
            server.token_endpoint, "client", "secret", transport=client, cache=MemoryTokenCache()
        )
        for _ in range(3):
            assert client.get(server.base_url + "/api/things", timeout=20).status_code == 200
    assert (server.token_requests, server.mints) == (1, 1)
    assert server.requests[0].client_authentication == "client_secret_basic"


def test_a_callable_is_a_transport(caller: Caller, server: FakeAuthorizationServer) -> None:
    """A function gets an HttpRequest, which shows no secret, and returns an HttpResponse."""
    seen: list[HttpRequest] = []

    def transport(request: HttpRequest) -> HttpResponse:
        seen.append(request)
        return HttpResponse(200, {"Content-Type": "application/json"}, GRANT)

    source = caller.auth(server, transport=transport).source
    assert source() == "t"
    assert (seen[0].method, seen[0].url, seen[0].timeout) == ("POST", server.token_endpoint, 10.0)
    assert seen[0].body == b"grant_type=client_credentials"
    assert server.token_requests == 0


@pytest.mark.parametrize("problem", [TransportError("the tunnel is down", "tunnel"), RuntimeError("canary")])
def test_a_callable_that_fails(caller: Caller, server: FakeAuthorizationServer, api: str, problem: Exception) -> None:
    """The message of a TransportError is shown; of any other exception only the type, since it may hold the request."""

    def transport(request: HttpRequest) -> HttpResponse:
        raise problem

    with pytest.raises(caller.error) as caught:
        caller.get(api, auth=caller.auth(server, transport=transport))
    expected = "the tunnel is down" if isinstance(problem, TransportError) else "RuntimeError while getting a token"
    assert expected in str(caught.value)
    assert "canary" not in str(caught.value)
    assert server.api_calls == []


def test_an_object_that_is_no_transport(caller: Caller, server: FakeAuthorizationServer) -> None:
    """An async client, an adapter, a string: refused when the auth is built; the message names what is accepted."""
    import httpx

    for wrong in (httpx.AsyncClient(), requests.adapters.HTTPAdapter(), "requests", 5):
        with pytest.raises(ConfigurationError, match=f"transport={type(wrong).__name__}"):
            caller.auth(server, transport=wrong)
