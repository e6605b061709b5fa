"""What a token request carries, through which library it goes, and what a user's own session adds or keeps out."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from scripted_server import GRANT, WHOLE, ScriptedServer, answers, private, send, users_client
from urllib3.util import Retry

from m2m_auth import TokenSource, __version__
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.http.transports import as_transport
from m2m_auth.oauth2.transport import TransportError, user_agent_of

pytestmark = pytest.mark.loopback
REFUSAL = (
    b'HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 25\r\n\r\n{"error":"invalid_scope"}'
)
BUSY = b"HTTP/1.1 503 X\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A token endpoint that always grants."""
    with ScriptedServer(answers(WHOLE)) as running:
        yield running


def headers_of(request: bytes) -> dict[str, str]:
    """The headers that were sent, by names in lower case."""
    lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


def ours(library: str) -> str:
    """What a library's token requests say."""
    return f"m2m-auth/{__version__} {library}/{importlib.import_module(library).__version__}"


def test_the_front_doors_own_library_mints(library: str, server: ScriptedServer) -> None:
    """Whatever else is imported: here, all of them are."""
    door = importlib.import_module(f"m2m_auth.{library}").M2MAuth
    assert door(server.url, "client", "secret", cache=MemoryTokenCache()).source() == "t"
    assert headers_of(server.requests[0])["user-agent"] == ours(library)


def test_a_source_alone(server: ScriptedServer) -> None:
    """Of the libraries that are loaded, the first mints; a private transport says its User-Agent for messages."""
    assert TokenSource(server.url, "client", "secret", cache=MemoryTokenCache())() == "t"
    assert headers_of(server.requests[0])["user-agent"] == ours("requests") == user_agent_of(private("requests"))
    assert user_agent_of(lambda _: None) == ""  # type: ignore[arg-type, return-value]


def test_the_users_user_agent(library: str, server: ScriptedServer) -> None:
    """The library's own is replaced; one that the user chose is kept."""
    with users_client(library) as client:
        send(as_transport(client), server.url)
        client.headers["User-Agent"] = "shop/1"
        transport = as_transport(client)
        send(transport, server.url)
    assert [headers_of(request)["user-agent"] for request in server.requests] == [ours(library), "shop/1"]
    assert user_agent_of(transport) == "shop/1"


def test_the_token_request_is_clean(library: str, server: ScriptedServer) -> None:
    """A session's auth, Authorization, cookies, parameters and base URL are for its API; its other headers are sent."""
    with users_client(library, **({} if library == "requests" else {"base_url": "https://api.example/v1/"})) as client:
        client.auth = ("other", "wrong")
        client.headers.update({"Authorization": "Bearer api", "X-Mine": "1", "Content-Type": "application/json"})
        client.params = {"page": "1"}
        client.cookies.set("session", "canary", domain="127.0.0.1")
        own = {"Content-Type": "application/x-www-form-urlencoded"}
        transport: Any = as_transport(client)
        request = __import__("m2m_auth").HttpRequest("POST", server.url, own, b"client_secret=s", 5.0)
        assert transport(request).body == GRANT
    sent = headers_of(server.requests[0])
    assert server.requests[0].startswith(b"POST /token HTTP/1.1\r\n")
    assert "authorization" not in sent
    assert "cookie" not in sent
    assert (sent["x-mine"], sent["content-type"]) == ("1", "application/x-www-form-urlencoded")


def test_a_hook_that_reads_the_answer(library: str, server: ScriptedServer) -> None:
    """A log of every answer's body: the token is still there."""

    def log(response: Any, **_: Any) -> None:
        assert response.content if library == "requests" else response.read()

    with users_client(library) as client:
        if library == "requests":
            client.hooks["response"].append(log)
        else:
            client.event_hooks = {"response": [log]}
        assert send(as_transport(client), server.url).body == GRANT


def test_a_hook_that_raises_keeps_the_servers_words() -> None:
    """raise_for_status, or an exception of the user's own: the refusal is read whole. httpx closes the answer."""

    def raising(response: Any, **_: Any) -> None:
        raise RuntimeError("canary")

    def for_status(response: Any, **_: Any) -> None:
        response.raise_for_status()

    for hook in (raising, for_status):
        with ScriptedServer(answers(REFUSAL)) as server, requests.Session() as session:
            session.hooks["response"].append(hook)
            response = send(as_transport(session), server.url)
        assert (response.status, response.body) == (400, b'{"error":"invalid_scope"}')


def retrying(adapter: type[HTTPAdapter] = HTTPAdapter, **options: Any) -> requests.Session:
    """A session that retries POST by itself."""
    session = requests.Session()
    session.mount(
        "http://", adapter(max_retries=Retry(total=3, status_forcelist=[503], allowed_methods=None, **options))
    )
    return session


def test_a_session_that_would_sleep_for_a_minute() -> None:
    """urllib3 obeys Retry-After whatever the timeout (urllib3#1338): the 503 itself is the answer, at once."""
    began = time.monotonic()
    with ScriptedServer(answers(BUSY)) as server, retrying() as session:
        response = send(as_transport(session), server.url, 2.0)
    assert (response.status, response.headers["retry-after"]) == (503, "60")
    assert time.monotonic() - began < 2.0


def test_a_sessions_own_retries_are_said() -> None:
    """The error names them: they multiply the requests, and the wait."""
    with (
        ScriptedServer(lambda connection: connection.close()) as server,
        retrying() as session,
        pytest.raises(TransportError, match="The session of transport= retries by itself"),
    ):
        send(as_transport(session), server.url, 2.0)
    assert server.connections == 4


class Prefixed(requests.Session):
    """A session with methods of its own, which every call goes through."""

    sent = 0

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Counts."""
        self.sent += 1
        return super().send(request, **options)


def test_a_session_with_methods_of_its_own(server: ScriptedServer) -> None:
    """It sends the request itself."""
    with Prefixed() as session:
        assert send(as_transport(session), server.url).body == GRANT
        assert session.sent == 1
