"""The fake protected API: tokens, challenges, bodies, redirects and streams."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator

import pytest
import requests

from m2m_auth.testing import FakeAuthorizationServer

pytestmark = pytest.mark.loopback


@pytest.fixture
def server() -> Iterator[FakeAuthorizationServer]:
    """A running server with its defaults."""
    with FakeAuthorizationServer() as running:
        yield running


@pytest.fixture
def bearer(server: FakeAuthorizationServer) -> dict[str, str]:
    """The header of an active token."""
    answer = requests.post(
        server.token_endpoint, data={"grant_type": "client_credentials"}, auth=("client", "secret"), timeout=5
    )
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def exchange(server: FakeAuthorizationServer, data: bytes) -> bytes:
    """The bytes of a plain socket until the server closes it."""
    host, port = server.base_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
def test_active_token(server: FakeAuthorizationServer, bearer: dict[str, str], method: str) -> None:
    """Every method and path is answered with its facts, and recorded."""
    body = b"x" * 70_000
    response = requests.request(method, server.base_url + "/api/a/b%20c?q=1", data=body, headers=bearer, timeout=5)
    digest = hashlib.sha256(body).hexdigest()
    assert response.status_code == 200
    assert response.json() == {"method": method, "path": "/api/a/b c", "body_length": 70_000, "body_sha256": digest}
    (call,) = server.api_calls
    assert (call.method, call.path, call.query, call.status) == (method, "/api/a/b c", "q=1", 200)
    assert (call.authorized, call.body_length, call.body_sha256) == (True, 70_000, digest)
    assert call.token == bearer["Authorization"].removeprefix("Bearer ")
    assert call.token not in repr(call)


def test_head(server: FakeAuthorizationServer, bearer: dict[str, str]) -> None:
    """HEAD has headers and no body, and the connection can be used again."""
    with requests.Session() as session:
        assert session.head(server.base_url + "/api/x", headers=bearer, timeout=5).content == b""
        assert session.get(server.base_url + "/api/x", headers=bearer, timeout=5).json()["method"] == "GET"


@pytest.mark.parametrize("header", [None, "Bearer foreign", "Basic Zm9vOmJhcg=="])
def test_no_good_token(server: FakeAuthorizationServer, header: str | None) -> None:
    """Without a token, with a foreign one or another scheme: 401 with the challenge, and a record of it."""
    headers = {} if header is None else {"Authorization": header}
    response = requests.get(server.base_url + "/api/x", headers=headers, timeout=5)
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')
    (call,) = server.api_calls
    assert (call.authorized, call.token) == (header is not None, "foreign" if header == "Bearer foreign" else None)


def test_revoked_token(server: FakeAuthorizationServer, bearer: dict[str, str]) -> None:
    """A revoked token is refused at the next call."""
    assert requests.get(server.base_url + "/api/x", headers=bearer, timeout=5).status_code == 200
    server.revoke_all()
    assert requests.get(server.base_url + "/api/x", headers=bearer, timeout=5).status_code == 401


@pytest.mark.parametrize(
    ("challenge", "seen"),
    [(None, None), ("Basic realm=x", "Basic realm=x"), (["Basic realm=x", "Bearer"], "Basic realm=x, Bearer")],
)
def test_challenges(server: FakeAuthorizationServer, challenge: str | list[str] | None, seen: str | None) -> None:
    """A test sets the challenge: none, any text, or several headers."""
    server.challenge = challenge
    assert requests.get(server.base_url + "/api/x", timeout=5).headers.get("WWW-Authenticate") == seen


def test_overrides(server: FakeAuthorizationServer, bearer: dict[str, str]) -> None:
    """A test makes the API refuse every token, accept every one, or answer with any status and headers."""
    url = server.base_url + "/api/x"
    server.accept_tokens = "none"
    assert requests.get(url, headers=bearer, timeout=5).status_code == 401
    server.accept_tokens = "all"
    assert requests.get(url, headers={"Authorization": "Bearer foreign"}, timeout=5).status_code == 200
    assert requests.get(url, timeout=5).status_code == 401
    server.api_status = 403
    server.api_headers = {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}
    response = requests.get(url, headers=bearer, timeout=5)
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (403, 'Bearer error="insufficient_scope"')
    server.api_status = 204
    assert requests.get(url, headers=bearer, timeout=5).content == b""
    assert [call.status for call in server.api_calls] == [401, 200, 401, 403, 204]


def test_chunked_upload(server: FakeAuthorizationServer, bearer: dict[str, str]) -> None:
    """A chunked body arrives completely, and the connection can be used again."""
    with requests.Session() as session:
        for _ in range(2):
            chunks = (b"%d" % number * 100 for number in range(50))
            response = session.post(server.base_url + "/api/up", data=chunks, headers=bearer, timeout=5)
            whole = b"".join(b"%d" % number * 100 for number in range(50))
            assert response.json()["body_sha256"] == hashlib.sha256(whole).hexdigest()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
        b"Transfer-Encoding: gzip\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"Content-Length: five\r\n\r\nhello",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    ],
)
def test_malformed_uploads(server: FakeAuthorizationServer, request_bytes: bytes) -> None:
    """Invalid framing is a 400 and closes the connection; there is no record."""
    answer = exchange(server, b"POST /api/x HTTP/1.1\r\nHost: x\r\n" + request_bytes)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"Connection: close" in answer
    assert server.api_calls == []


@pytest.mark.parametrize(
    "request_bytes",
    [b"Content-Length: 50\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n50\r\nhello"],
)
def test_upload_that_breaks_off(server: FakeAuthorizationServer, request_bytes: bytes) -> None:
    """Half an upload gets no answer and no record."""
    assert exchange(server, b"POST /api/x HTTP/1.1\r\nHost: x\r\n" + request_bytes) == b""
    assert server.api_calls == []


def test_trailers_and_extensions(server: FakeAuthorizationServer) -> None:
    """Chunk extensions and trailers are ignored."""
    upload = b"5;name=value\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n"
    head = b"POST /api/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert b'"body_length": 5' in exchange(server, head + upload)


def test_not_http(server: FakeAuthorizationServer) -> None:
    """Bytes that are not HTTP get a 400."""
    assert exchange(server, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400")


def test_expect_100(server: FakeAuthorizationServer) -> None:
    """Expect: 100-continue is answered with 100."""
    head = b"PUT /api/x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"
    answer = exchange(server, head)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401")


def test_redirect(server: FakeAuthorizationServer, bearer: dict[str, str]) -> None:
    """A redirect needs a valid token. It leads to another server, which does not get the token."""
    with FakeAuthorizationServer() as other:
        url = f"{server.base_url}/api/redirect"
        query = {"to": other.base_url + "/api/there", "code": "308"}
        first = requests.post(url, params=query, headers=bearer, data=b"body", allow_redirects=False, timeout=5)
        assert (first.status_code, first.headers["Location"]) == (308, other.base_url + "/api/there")
        last = requests.post(url, params=query, headers=bearer, data=b"body", timeout=5)
        assert (last.status_code, last.json()["path"]) == (401, "/api/there")
        (call,) = other.api_calls
        assert (call.method, call.body_length, call.authorized) == ("POST", 4, False)
    assert requests.get(url, params=query, timeout=5).status_code == 401
    assert requests.get(url, headers=bearer, params={"to": "/", "code": "x"}, timeout=5).status_code == 400


def test_stream(server: FakeAuthorizationServer, bearer: dict[str, str]) -> None:
    """A stream with a number of chunks ends; one without, also with a 401, lasts until the client closes."""
    url = server.base_url + "/api/stream"
    whole = requests.get(url, params={"chunks": 3, "size": 10, "interval_ms": 0}, headers=bearer, timeout=5)
    assert whole.content == b"." * 30
    for headers, status in [(bearer, 200), ({}, 401)]:
        with requests.get(url, headers=headers, stream=True, timeout=5) as response:
            assert response.status_code == status
            assert len(next(response.iter_content(4096))) > 0
    assert [call.status for call in server.api_calls] == [200, 200, 401]
