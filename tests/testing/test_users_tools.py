"""Users' tests with responses, requests-mock, respx, pytest-httpx and MockTransport, as their documentation shows them.

The token request is sent by a thread of its own, through a session or client of its own. Each tool sees it, strictness
included; and each tool sees the 401 and the replay.
"""

from __future__ import annotations

import base64
import importlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
import requests_mock as requests_mock_module
import responses
import respx
from pytest_httpx import HTTPXMock
from responses import matchers
from responses.registries import OrderedRegistry

from m2m_auth import TokenSource, TokenUnavailable
from m2m_auth.httpx import M2MAuth as HttpxAuth
from m2m_auth.requests import M2MAuth as RequestsAuth
from m2m_auth.testing import FakeAuthorizationServer, forget_tokens

TOKEN = "https://tenant.example/oauth/token"
API = "https://api.example/orders"
CLIENT: dict[str, Any] = {"client_id": "billing", "client_secret": "s3cr3t-word"}
BASIC = "Basic " + base64.b64encode(b"billing:s3cr3t-word").decode()
BODY: dict[str, Any] = {"grant_type": "client_credentials", "audience": "https://api.example"}


def answer(value: str = "t1") -> dict[str, object]:
    """A token endpoint's answer."""
    return {"access_token": value, "token_type": "Bearer", "expires_in": 3600}


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """Each test starts without a token."""
    forget_tokens()
    yield
    forget_tokens()


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """A session with the auth."""
    with requests.Session() as session:
        session.auth = RequestsAuth(TOKEN, audience=BODY["audience"], **CLIENT)
        yield session


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """A client with the auth."""
    with httpx.Client(auth=HttpxAuth(TOKEN, audience=BODY["audience"], **CLIENT)) as client:
        yield client


# responses


@responses.activate
def test_responses(session: requests.Session) -> None:
    """The decorator, matchers on the token request, and counts."""
    minted = responses.post(
        TOKEN,
        json=answer(),
        match=[matchers.urlencoded_params_matcher(BODY), matchers.header_matcher({"Authorization": BASIC})],
    )
    orders = responses.get(API, json=[1], match=[matchers.header_matcher({"Authorization": "Bearer t1"})])
    assert [session.get(API).json() for _ in range(3)] == [[1]] * 3
    assert (minted.call_count, orders.call_count) == (1, 3)
    assert responses.assert_call_count(TOKEN, 1)
    assert [call.request.url for call in responses.calls] == [TOKEN, API, API, API]


def test_responses_all_fired(session: requests.Session) -> None:
    """``assert_all_requests_are_fired`` and an ordered registry: the 401, the second token and the replay."""
    with responses.RequestsMock(registry=OrderedRegistry, assert_all_requests_are_fired=True) as mock:
        mock.post(TOKEN, json=answer("t1"))
        mock.get(API, status=401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        mock.post(TOKEN, json=answer("t2"))
        mock.get(API, json=["ok"])
        response = session.get(API)
        assert (response.json(), [each.status_code for each in response.history]) == (["ok"], [401])
        sent = [call.request.headers["Authorization"] for call in mock.calls if call.request.url == API]
    assert sent == ["Bearer t1", "Bearer t2"]


@responses.activate
def test_responses_without_the_token_endpoint(session: requests.Session) -> None:
    """What is not mocked does not reach the network; the error is requests' own, and names the token endpoint."""
    responses.get(API, json=[])
    with pytest.raises(requests.RequestException, match=TOKEN):
        session.get(API)


@pytest.mark.loopback
@responses.activate
def test_responses_pass_through() -> None:
    """``add_passthru`` for a real server on loopback, with a mocked API: both go where they should."""
    with FakeAuthorizationServer() as server:
        responses.add_passthru(server.base_url)
        responses.get(API, json=["mocked"])
        with requests.Session() as session:
            session.auth = RequestsAuth(server.token_endpoint, "client", "secret")
            assert session.get(API).json() == ["mocked"]
            assert session.get(f"{server.base_url}/api/orders").status_code == 200
        assert server.mints == 1


# requests-mock


def test_requests_mock(session: requests.Session, requests_mock: requests_mock_module.Mocker) -> None:
    """The fixture, with answers in a row: a 401 and its replay."""
    minted = requests_mock.post(TOKEN, [{"json": answer("t1")}, {"json": answer("t2")}])
    orders = requests_mock.get(API, [{"status_code": 401}, {"json": ["ok"]}, {"json": ["again"]}])
    assert session.get(API).json() == ["ok"]
    assert session.get(API).json() == ["again"]
    assert minted.call_count == 2
    assert minted.last_request.headers["Authorization"] == BASIC
    sent = [request.headers["Authorization"] for request in orders.request_history]
    assert sent == ["Bearer t1", "Bearer t2", "Bearer t2"]


def test_requests_mock_adapter_of_a_session() -> None:
    """An adapter that is mounted on one session serves the token request of that session as ``transport=``."""
    adapter = requests_mock_module.Adapter()
    adapter.register_uri("POST", TOKEN, json=answer())
    adapter.register_uri("GET", API, json=["ok"], request_headers={"Authorization": "Bearer t1"})
    with requests.Session() as session:
        session.mount("https://", adapter)
        session.auth = RequestsAuth(TOKEN, transport=session, **CLIENT)
        assert session.get(API).json() == ["ok"]
    assert adapter.call_count == 2


@pytest.mark.loopback
def test_requests_mock_real_http() -> None:
    """``real_http``: the token is from a real server."""
    with FakeAuthorizationServer() as server, requests_mock_module.Mocker(real_http=True) as mock:
        orders = mock.get(API, json=["mocked"])
        with requests.Session() as session:
            session.auth = RequestsAuth(server.token_endpoint, "client", "secret")
            assert session.get(API).json() == ["mocked"]
        assert server.mints == orders.call_count == 1


def test_requests_mock_without_the_token_endpoint(requests_mock: requests_mock_module.Mocker) -> None:
    """A source on its own: NoMockAddress, which is no error of requests, becomes a TokenUnavailable."""
    with requests.Session() as session, pytest.raises(TokenUnavailable, match="NoMockAddress"):
        TokenSource(TOKEN, transport=session, **CLIENT).token()
    assert requests_mock.call_count >= 1


# respx


@respx.mock
def test_respx(client: httpx.Client) -> None:
    """The decorator; the token request is matched by its body."""
    minted = respx.post(TOKEN, data=BODY, headers={"Authorization": BASIC}).respond(json=answer())
    orders = respx.get(API, headers={"Authorization": "Bearer t1"}).respond(json=["ok"])
    assert [client.get(API).json() for _ in range(3)] == [["ok"]] * 3
    assert (minted.call_count, orders.call_count) == (1, 3)


@pytest.mark.parametrize("using", ["httpcore", "httpx"])
def test_respx_replay(client: httpx.Client, using: str) -> None:
    """Side effects in a row, and ``assert_all_called`` and ``assert_all_mocked``, which are on by default."""
    with respx.mock(using=using) as router:
        router.post(TOKEN).mock(side_effect=[httpx.Response(200, json=answer(f"t{turn}")) for turn in (1, 2)])
        orders = router.get(API).mock(side_effect=[httpx.Response(401), httpx.Response(200, json=["ok"])])
        assert client.get(API).json() == ["ok"]
        assert [call.request.headers["Authorization"] for call in orders.calls] == ["Bearer t1", "Bearer t2"]


@respx.mock(base_url="https://api.example")
def test_respx_mock_argument(respx_mock: respx.MockRouter, client: httpx.Client) -> None:
    """The fixture's router; a second one for the token endpoint."""
    with respx.mock(base_url="https://tenant.example") as tenant:
        tenant.post("/oauth/token").respond(json=answer())
        respx_mock.get("/orders").respond(json=["ok"])
        assert client.get(API).json() == ["ok"]


@pytest.mark.anyio
@respx.mock
async def test_respx_async() -> None:
    """The token request of an AsyncClient is sent by a thread; respx patches both kinds of client."""
    respx.post(TOKEN).mock(side_effect=[httpx.Response(200, json=answer(f"t{turn}")) for turn in (1, 2)])
    respx.get(API).mock(side_effect=[httpx.Response(401), httpx.Response(200, json=["ok"])])
    async with httpx.AsyncClient(auth=HttpxAuth(TOKEN, **CLIENT)) as client:
        assert (await client.get(API)).json() == ["ok"]


@respx.mock
def test_respx_without_the_token_endpoint(client: httpx.Client) -> None:
    """respx' AssertionError arises on the flight's thread: the call fails, and no request is sent."""
    respx.get(API).respond(json=[])
    with pytest.raises(TokenUnavailable, match="AllMockedAssertionError"):
        client.get(API)
    respx.post(TOKEN).respond(json=answer())


@pytest.mark.loopback
def test_respx_pass_through() -> None:
    """A route that passes through reaches a real server."""
    with FakeAuthorizationServer() as server, respx.mock as router:
        router.route(host="127.0.0.1").pass_through()
        router.get(API).respond(json=["mocked"])
        with httpx.Client(auth=HttpxAuth(server.token_endpoint, "client", "secret")) as client:
            assert client.get(API).json() == ["mocked"]
            assert client.get(f"{server.base_url}/api/orders").status_code == 200
        assert server.mints == 1


# pytest-httpx


def test_pytest_httpx(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    """Strict by default: each response is sent once, all of them are requested, no other request is sent."""
    httpx_mock.add_response(method="POST", url=TOKEN, match_headers={"Authorization": BASIC}, json=answer())
    httpx_mock.add_response(url=API, match_headers={"Authorization": "Bearer t1"}, json=["ok"])
    assert client.get(API).json() == ["ok"]
    assert len(httpx_mock.get_requests(url=TOKEN)) == 1


def test_pytest_httpx_replay(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    """The 401, the second token and the replay."""
    for turn in (1, 2):
        httpx_mock.add_response(method="POST", url=TOKEN, json=answer(f"t{turn}"))
    httpx_mock.add_response(url=API, status_code=401, match_headers={"Authorization": "Bearer t1"})
    httpx_mock.add_response(url=API, json=["ok"], match_headers={"Authorization": "Bearer t2"})
    assert client.get(API).json() == ["ok"]
    assert [request.url.path for request in httpx_mock.get_requests()] == ["/oauth/token", "/orders"] * 2


@pytest.mark.anyio
async def test_pytest_httpx_async(httpx_mock: HTTPXMock) -> None:
    """An AsyncClient: the token request is sent by a sync client on a thread, which is mocked as well."""
    httpx_mock.add_response(method="POST", url=TOKEN, json=answer())
    httpx_mock.add_response(url=API, json=["ok"], is_reusable=True)
    async with httpx.AsyncClient(auth=HttpxAuth(TOKEN, **CLIENT)) as client:
        assert [(await client.get(API)).json() for _ in range(3)] == [["ok"]] * 3


@pytest.mark.httpx_mock(assert_all_requests_were_expected=False)
def test_pytest_httpx_without_the_token_endpoint(client: httpx.Client, httpx_mock: HTTPXMock) -> None:
    """A request without a response is httpx's error, as for any other request; no request reaches the network."""
    with pytest.raises(httpx.HTTPError, match=TOKEN):
        client.get(API)
    assert {str(request.url) for request in httpx_mock.get_requests()} == {TOKEN}


@pytest.mark.loopback
@pytest.mark.httpx_mock(should_mock=lambda request: request.url.host != "127.0.0.1")
def test_pytest_httpx_pass_through(httpx_mock: HTTPXMock) -> None:
    """``should_mock`` lets the token request through to a real server."""
    httpx_mock.add_response(url=API, json=["mocked"])
    with (
        FakeAuthorizationServer() as server,
        httpx.Client(auth=HttpxAuth(server.token_endpoint, "client", "secret")) as client,
    ):
        assert client.get(API).json() == ["mocked"]
        assert server.mints == 1


# MockTransport of httpx and httpx2


@pytest.fixture(params=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> Any:
    """httpx, and httpx2, which has the same MockTransport."""
    return pytest.importorskip(request.param)


def auth_of(library: Any) -> Any:
    """The M2MAuth for that library."""
    return importlib.import_module(f"m2m_auth.{library.__name__}").M2MAuth


class Site:
    """Both servers as a handler of MockTransport: the token endpoint, and an API that refuses the first token."""

    def __init__(self, library: Any) -> None:
        self.library = library
        self.seen: list[str] = []

    def __call__(self, request: Any) -> Any:
        """Answers one request."""
        self.seen.append(request.url.path)
        if request.url.path == "/oauth/token":
            return self.library.Response(200, json=answer(f"t{self.seen.count('/oauth/token')}"))
        status = 401 if request.headers["Authorization"] == "Bearer t1" else 200
        return self.library.Response(status, json=[request.headers["Authorization"]])


def test_mock_transport(library: Any) -> None:
    """One handler for a client of the token endpoint and for one of the API."""
    site = Site(library)
    mocked = library.MockTransport(site)
    with library.Client(transport=mocked) as tokens:
        auth = auth_of(library)(TOKEN, transport=tokens, **CLIENT)
        with library.Client(transport=mocked, auth=auth) as client:
            assert client.get(API).json() == ["Bearer t2"]
            assert client.get(API).json() == ["Bearer t2"]
    assert site.seen == ["/oauth/token", "/orders", "/oauth/token", "/orders", "/orders"]


def test_mock_transport_one_client(library: Any) -> None:
    """The client of the API sends the token request, too, without its own auth."""
    site = Site(library)
    with library.Client(transport=library.MockTransport(site)) as client:
        client.auth = auth_of(library)(TOKEN, transport=client, **CLIENT)
        assert client.get(API).json() == ["Bearer t2"]


@pytest.mark.anyio
async def test_mock_transport_async(library: Any) -> None:
    """An AsyncClient for the API; the token request has a Client, since it is sent by a thread."""
    site = Site(library)
    mocked = library.MockTransport(site)
    with library.Client(transport=mocked) as tokens:
        auth = auth_of(library)(TOKEN, transport=tokens, **CLIENT)
        async with library.AsyncClient(transport=mocked, auth=auth) as client:
            assert (await client.get(API)).json() == ["Bearer t2"]


def test_mock_transport_only_for_the_api(library: Any) -> None:
    """A transport that is a function: no HTTP at all for the token."""
    from m2m_auth import HttpRequest, HttpResponse

    def tokens(_: HttpRequest) -> HttpResponse:
        return HttpResponse(200, {"content-type": "application/json"}, b'{"access_token": "t9", "expires_in": 60}')

    auth = auth_of(library)(TOKEN, transport=tokens, **CLIENT)
    with library.Client(transport=library.MockTransport(Site(library)), auth=auth) as client:
        assert client.get(API).json() == ["Bearer t9"]
