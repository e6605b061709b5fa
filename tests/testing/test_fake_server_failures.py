"""Failures of FakeAuthorizationServer: each mode as a client sees it, and the queue."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any, cast, get_args

import pytest
import requests

from m2m_auth.testing import FailureMode, FakeAuthorizationServer

pytestmark = pytest.mark.loopback

FORM = b"grant_type=client_credentials&client_id=client&client_secret=secret"
REQUEST = (
    b"POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(FORM), FORM)
)


@pytest.fixture
def server() -> Iterator[FakeAuthorizationServer]:
    """A running server with its defaults."""
    with FakeAuthorizationServer() as running:
        yield running


def ask(server: FakeAuthorizationServer, timeout: float = 5) -> requests.Response:
    """A token request by the default client."""
    return requests.post(
        server.token_endpoint,
        data={"grant_type": "client_credentials"},
        auth=("client", "secret"),
        allow_redirects=False,
        timeout=timeout,
    )


def raw(server: FakeAuthorizationServer) -> bytes:
    """The bytes of a plain socket until the server closes it."""
    host, port = server.base_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(REQUEST)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received


@pytest.mark.parametrize(
    ("mode", "details", "status", "body"),
    [
        ("500", {}, 500, "<h1>Sorry</h1>"),
        ("500", {"status": 502, "body": "bad gateway"}, 502, "bad gateway"),
        ("503", {}, 503, "<h1>Sorry</h1>"),
        ("not_json", {}, 200, "<!doctype html><title>Sign in</title>"),
        ("empty", {}, 200, ""),
        ("empty_403", {}, 403, ""),
        ("redirect", {}, 302, ""),
    ],
)
def test_pages(
    server: FakeAuthorizationServer, mode: FailureMode, details: dict[str, Any], status: int, body: str
) -> None:
    """Error pages, sign-in pages and empty answers have the documented status and body, and mint nothing."""
    server.fail(mode, **details)
    response = ask(server)
    assert (response.status_code, response.text) == (status, body)
    assert (server.mints, server.token_requests) == (0, 1)
    assert server.requests[0].status == status


def test_redirect(server: FakeAuthorizationServer) -> None:
    """A redirect has the given location and status."""
    server.fail("redirect", location="https://elsewhere.example/token", status=307)
    response = ask(server)
    assert (response.status_code, response.headers["Location"]) == (307, "https://elsewhere.example/token")


def test_oauth_errors(server: FakeAuthorizationServer) -> None:
    """Errors of RFC 6749 §5.2 have exactly the given members."""
    server.fail("invalid_client", 1)
    server.fail(
        "oauth_error", 1, error="invalid_scope", description="no such scope", uri="https://x.example", status=422
    )
    server.fail("oauth_error", 1)
    refused = ask(server)
    assert (refused.status_code, refused.json()) == (401, {"error": "invalid_client"})
    assert refused.headers["WWW-Authenticate"].startswith("Basic")
    response = ask(server)
    assert response.status_code == 422
    assert response.json() == {
        "error": "invalid_scope",
        "error_description": "no such scope",
        "error_uri": "https://x.example",
    }
    assert (ask(server).json(), ask(server).status_code) == ({"error": "invalid_request"}, 200)


def test_429(server: FakeAuthorizationServer) -> None:
    """Retry-After comes as seconds, as an HTTP date or as any text, with other headers beside it."""
    server.fail("429", 1, retry_after=7, headers={"X-RateLimit-Reset": "1700000000"})
    response = ask(server)
    assert (response.status_code, response.headers["Retry-After"]) == (429, "7")
    assert response.headers["X-RateLimit-Reset"] == "1700000000"
    when = datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    server.fail("429", 1, retry_after=when)
    date = ask(server).headers["Retry-After"]
    assert date.endswith("GMT")
    assert parsedate_to_datetime(date) == when
    server.fail("429", 1, retry_after="soon")
    assert ask(server).headers["Retry-After"] == "soon"
    server.fail("429", 1)
    assert "Retry-After" not in ask(server).headers


def test_huge(server: FakeAuthorizationServer) -> None:
    """The huge answer is valid except for its 2 MiB."""
    server.fail("huge")
    response = ask(server)
    assert len(response.content) == 2 * 1024 * 1024
    assert response.json()["token_type"] == "Bearer"
    assert server.mints == 0


def test_reset(server: FakeAuthorizationServer) -> None:
    """The client sees a TCP reset."""
    server.fail("reset")
    with pytest.raises(ConnectionResetError):
        raw(server)
    assert (server.mints, server.requests[0].status) == (0, None)


def test_truncated(server: FakeAuthorizationServer) -> None:
    """Half of the announced body arrives, then the connection ends; the token was minted."""
    server.fail("truncated")
    head, _, body = raw(server).partition(b"\r\n\r\n")
    assert b"HTTP/1.1 200" in head
    promised = int(head.lower().partition(b"content-length: ")[2].split()[0])
    assert len(body) == promised // 2
    assert server.mints == 1


def test_slow_drip(server: FakeAuthorizationServer) -> None:
    """The answer arrives byte by byte, without a read timeout, and is complete."""
    server.fail("slow_drip", 1, interval=0.001)
    start = time.monotonic()
    response = ask(server, timeout=0.5)
    took = time.monotonic() - start
    assert server.is_active(response.json()["access_token"])
    assert took >= 0.001 * len(response.content)


def test_hang_until_recovered(server: FakeAuthorizationServer) -> None:
    """A request hangs until recover(), and is then answered with a token."""
    server.fail("hang")
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(ask(server).status_code))
    thread.start()
    server.wait_for_token_requests(1)
    assert (answers, server.mints, server.requests[0].status) == ([], 0, None)
    server.recover()
    thread.join()
    assert (answers, server.mints) == ([200], 1)
    assert ask(server).status_code == 200


def test_hanging_client_that_gave_up(server: FakeAuthorizationServer) -> None:
    """No token is minted for a client that timed out while it hung."""
    server.fail("hang")
    with pytest.raises(requests.Timeout):
        ask(server, timeout=0.1)
    server.recover()
    assert ask(server).status_code == 200
    assert (server.mints, server.token_requests) == (1, 2)


def test_queue(server: FakeAuthorizationServer) -> None:
    """Failures form a queue; one without a count lasts until recover() or the next fail()."""
    server.fail("500", 2)
    server.fail("empty_403", 1)
    server.fail("503")
    assert [ask(server).status_code for _ in range(5)] == [500, 500, 403, 503, 503]
    server.fail("oauth_error", 1)
    assert [ask(server).status_code for _ in range(2)] == [400, 200]
    server.fail("500", 10)
    server.recover()
    assert ask(server).status_code == 200
    assert (server.mints, server.token_requests) == (2, 8)


def test_latency(server: FakeAuthorizationServer) -> None:
    """The latency delays every token answer, failures too, and can be changed at any time."""
    server.latency = 0.15
    for _ in range(2):
        start = time.monotonic()
        ask(server)
        assert time.monotonic() - start >= 0.15
        server.fail("500")
    server.latency = 60
    with pytest.raises(requests.Timeout):
        ask(server, timeout=0.1)
    server.latency = 0
    assert ask(server).status_code == 500


def test_every_mode_is_known(server: FakeAuthorizationServer) -> None:
    """The type's modes and the server's are the same, and none needs a detail."""
    for mode in get_args(FailureMode):
        server.fail(mode, 1)
        server.recover()


def test_mistakes_are_refused(server: FakeAuthorizationServer) -> None:
    """An unknown mode, an unknown detail and a count below 1 are refused; the message names the known ones."""
    with pytest.raises(
        ValueError, match=r"unknown failure mode 'redirekt' \(did you mean 'redirect'\?\). Known: 500, 503"
    ):
        server.fail(cast("FailureMode", "redirekt"))
    with pytest.raises(
        TypeError, match=r"'429' has no detail 'retry_afer' .*'retry_after'.* Known: retry_after, status"
    ):
        server.fail("429", retry_afer=3)
    with pytest.raises(TypeError, match=r"'hang' has no detail 'seconds'. Known: none"):
        server.fail("hang", seconds=3)
    with pytest.raises(ValueError, match="times is at least 1"):
        server.fail("500", 0)
    assert ask(server).status_code == 200


def test_failures_are_for_the_token_endpoint_only(server: FakeAuthorizationServer) -> None:
    """The API and introspection work while the token endpoint fails."""
    token = ask(server).json()["access_token"]
    server.fail("500")
    call = requests.get(server.base_url + "/api/x", headers={"Authorization": f"Bearer {token}"}, timeout=5)
    assert call.status_code == 200
    introspection = requests.post(
        server.base_url + "/introspect", data={"token": token}, auth=("client", "secret"), timeout=5
    )
    assert introspection.json()["active"] is True
