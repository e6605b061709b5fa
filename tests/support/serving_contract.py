"""The contract of a service's adapters: WSGI, ASGI, Flask and Django. Tests subclass it, each with a real server.

The requests go over a socket as raw bytes, since no client library sends what an attacker would.
"""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

from m2m_auth.serving import Answer, Request, wsgi
from m2m_auth.values import as_dict, replace

MAX_BODY = 1000
"""The limit with which the applications under test are made."""


class Echo:
    """A service that answers with the request's parts, or raises for ``?raise``."""

    def answer(self, request: Request, /) -> Answer:
        """The request's parts as JSON; 204 for ``?empty``; a fault that quotes the body for ``?raise``."""
        if request.query == "raise":
            raise RuntimeError(f"canary {request.body!r}")
        if request.query == "empty":
            return Answer(204, (("X-Own", "1"),), b"")
        parts = as_dict(replace(request, headers=dict(request.headers), native=None))
        return Answer.json(200, {**parts, "body": request.body.decode()}, ("X-Own", "a, b"))


def echo_at() -> Any:
    """An :class:`Echo` at ``/at``, mounted as PEP 3333 has it."""
    app = wsgi(Echo(), max_body=MAX_BODY)

    def mounted(environ: dict[str, Any], start_response: Any) -> Any:
        assert environ["PATH_INFO"].startswith("/at")
        return app({**environ, "SCRIPT_NAME": "/at", "PATH_INFO": environ["PATH_INFO"][3:]}, start_response)

    return mounted


class Reply:
    """One HTTP response, read to its end."""

    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        self.headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]

    def header(self, name: str) -> str | None:
        """The header's value, which must be there once at most."""
        values = [value for each, value in self.headers if each == name]
        assert len(values) <= 1, values
        return values[0] if values else None


def send(base_url: str, head: str, body: bytes = b"") -> Reply:
    """Sends these bytes and reads until the server closes."""
    parts = urlsplit(base_url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30) as connection:
        lines = "\r\n".join(line.strip() for line in head.strip().splitlines())
        connection.sendall(f"{lines}\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode("latin-1") + body)
        raw = b""
        while piece := connection.recv(65536):
            raw += piece
    return Reply(raw)


class ServingContract:
    """The tests. A subclass gives ``base_url``: an :class:`Echo` mounted at ``/at``, with ``MAX_BODY``."""

    chunked = True
    """Whether the server under test hands on a body without a length."""

    def test_a_request_arrives_whole(self, base_url: str) -> None:
        """Method, path below the place, query, headers in lower case, body, address and scheme."""
        head = "POST /at/some%2F%C3%BC?a=1&b=%20 HTTP/1.1\nX-Some: Thing\nContent-Length: 3"
        reply = send(base_url, head, b"a=b")
        asked = json.loads(reply.body)
        assert (reply.status, reply.header("x-own")) == (200, "a, b")
        headers = asked.pop("headers")
        assert asked == {
            "method": "POST",
            "path": "/some/ü",
            "query": "a=1&b=%20",
            "body": "a=b",
            "too_large": False,
            "address": "127.0.0.1",
            "scheme": "http",
            "native": None,
        }
        assert (headers["x-some"], headers["content-length"]) == ("Thing", "3")

    def test_at_its_place_the_path_is_empty_or_a_slash(self, base_url: str) -> None:
        """No redirect to a prettier URL: that would turn a POST into a GET."""
        for path in ("/at", "/at/"):
            reply = send(base_url, f"POST {path} HTTP/1.1\nContent-Length: 0")
            assert (reply.status, json.loads(reply.body)["path"] in ("", "/")) == (200, True)

    def test_a_repeated_header_is_seen_twice(self, base_url: str) -> None:
        """Two Authorization headers arrive as one value with both, which no parser accepts."""
        head = "POST /at HTTP/1.1\nAuthorization: Basic YTpi\nAuthorization: Bearer x\nContent-Length: 0"
        assert json.loads(send(base_url, head).body)["headers"]["authorization"].replace(" ", "") == "BasicYTpi,Bearerx"

    def test_a_body_up_to_the_limit_is_read_and_no_larger_one(self, base_url: str) -> None:
        """A body at the limit arrives; with one byte more the service gets no body and ``too_large``."""
        for size, arrived, too_large in ((MAX_BODY, MAX_BODY, False), (MAX_BODY + 1, 0, True), (10_000, 0, True)):
            reply = send(base_url, f"POST /at HTTP/1.1\nContent-Length: {size}", b"x" * size)
            asked = json.loads(reply.body)
            assert (len(asked["body"]), asked["too_large"]) == (arrived, too_large), size

    def test_zeros_before_a_length_make_it_no_shorter(self, base_url: str) -> None:
        """Leading zeros in a Content-Length do not change the number."""
        reply = send(base_url, f"POST /at HTTP/1.1\nContent-Length: {10_000:030d}", b"x" * 10_000)
        asked = json.loads(reply.body) if reply.status == 200 else {"body": "", "too_large": True}
        assert (len(asked["body"]), asked["too_large"]) == (0, True)

    def test_a_body_in_chunks_is_limited_too(self, base_url: str) -> None:
        """The limit also holds without a Content-Length."""
        if not self.chunked:
            return
        for size, arrived, too_large in ((MAX_BODY, MAX_BODY, False), (MAX_BODY + 1, 0, True)):
            chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (size, b"x" * size)
            reply = send(base_url, "POST /at HTTP/1.1\nTransfer-Encoding: chunked", chunks)
            asked = json.loads(reply.body)
            assert (len(asked["body"]), asked["too_large"]) == (arrived, too_large), size

    def test_every_method_is_the_services(self, base_url: str) -> None:
        """The service answers every method; the framework answers none by itself."""
        for method in ("GET", "OPTIONS", "DELETE", "PUT"):
            assert json.loads(send(base_url, f"{method} /at HTTP/1.1").body)["method"] == method
        reply = send(base_url, "HEAD /at HTTP/1.1")
        assert (reply.status, reply.body) == (200, b"")

    def test_the_answer_has_its_headers_and_no_other_kind(self, base_url: str) -> None:
        """JSON's media type once, no-store once, and no header of the framework."""
        reply = send(base_url, "POST /at HTTP/1.1\nContent-Length: 0")
        assert reply.header("content-type") == "application/json;charset=UTF-8"
        assert reply.header("cache-control") == "no-store"
        assert reply.header("content-length") == str(len(reply.body))
        assert reply.header("set-cookie") is None

    def test_an_answer_may_be_empty(self, base_url: str) -> None:
        """204 has neither a body nor the type of one (RFC 9110 §15.3.5)."""
        reply = send(base_url, "POST /at?empty HTTP/1.1\nContent-Length: 0")
        assert (reply.status, reply.body, reply.header("x-own")) == (204, b"", "1")
        assert reply.header("content-type") is None

    def test_a_fault_in_the_service_is_a_json_500_without_detail(self, base_url: str) -> None:
        """The client reads fixed words for any exception."""
        reply = send(base_url, "POST /at?raise HTTP/1.1\nContent-Length: 2", b"hi")
        assert (reply.status, json.loads(reply.body)["error"]) == (500, "server_error")
        assert b"canary" not in reply.body
