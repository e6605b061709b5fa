"""One exchange with the token endpoint has all of its deadline, and never more, whatever the connection does."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import requests
from front_doors import FRONT_DOORS
from requests.adapters import HTTPAdapter
from scripted_server import (
    GRANT,
    HEAD,
    WHOLE,
    ScriptedServer,
    answers,
    drips,
    library_named,
    private,
    send,
    users_client,
)

from m2m_auth.http.transports import as_transport
from m2m_auth.oauth2.transport import TransportError

pytestmark = pytest.mark.loopback

DEADLINE = 1.0
"""Seconds."""
LATE, TOO_LATE = 0.8, 1.5
"""Shares of the deadline: an answer at the first is in time, and no exchange lasts until the second."""
ATTEMPTS = range(3)
"""A busy machine may delay an exchange; code that cuts it short, or lets it go on, does so each time."""


@pytest.fixture(params=["requests", "httpx"])
def library(request: pytest.FixtureRequest) -> str:
    """The name of a library. httpx2 has httpx's transport, so two tests show that it is watched, too."""
    library_named(request.param)
    name: str = request.param
    return name


@pytest.fixture(params=["private", "the user's"])
def transport(
    request: pytest.FixtureRequest, library: str, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> Iterator[Any]:
    """The private transport of each library, and the one over a user's own session or client."""
    if request.param == "private":
        yield private(library, verify=tls[1])  # to read the CAs of a whole system may take longer than a deadline here
        return
    with users_client(library) as client:
        yield as_transport(client)


def times_out(transport: Any, url: str, said: str = "no answer.*") -> float:
    """The share of the deadline after which the transport gives up."""
    share = 0.0
    for _ in ATTEMPTS:
        began = time.monotonic()
        with pytest.raises(TransportError, match=f"{said} within 1 s") as caught:
            send(transport, url, DEADLINE)
        share = (time.monotonic() - began) / DEADLINE
        assert caught.value.cause_code == "timeout"
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        if share < TOO_LATE:
            break
    return share


def late_answer(transport: Any) -> bytes:
    """The body of an answer late in the deadline; empty if it was never in time."""
    with ScriptedServer(answers(WHOLE, after=LATE * DEADLINE)) as server:
        for _ in ATTEMPTS:
            with suppress(TransportError):
                return bytes(send(transport, server.url, DEADLINE).body)
    return b""


EACH_LIBRARY = pytest.mark.parametrize("library", FRONT_DOORS, indirect=True)


@EACH_LIBRARY
def test_an_answer_late_in_the_deadline(transport: Any) -> None:
    """A server that needs 8 s of a 10 s deadline succeeds: it was cut at 7 s."""
    assert late_answer(transport) == GRANT


@EACH_LIBRARY
def test_no_answer(transport: Any) -> None:
    """A server that accepts and is silent."""
    with ScriptedServer(lambda _: time.sleep(0)) as server:
        assert 0.9 < times_out(transport, server.url) < TOO_LATE


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"X-Padding: " + b"x" * 1000,
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 100,
    ],
    ids=["a header", "early hints"],
)
def test_a_head_that_drips(transport: Any, answer: bytes) -> None:
    """Each byte is in time, and the head is not: no timeout of a library sees it."""
    with ScriptedServer(drips(answer)) as server:
        assert times_out(transport, server.url) < TOO_LATE


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 5000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nfff\r\n", b"\r\n"]
)
def test_a_body_that_drips(transport: Any, framing: bytes) -> None:
    """The same for the body, whichever way its end is said."""
    with ScriptedServer(drips(HEAD + framing + b'{"padding": "' + b"x" * 5000, 0.004)) as server:
        assert times_out(transport, server.url) < TOO_LATE


def test_a_body_that_stops(transport: Any) -> None:
    """The last byte came just before the deadline: the wait for the next one does not begin anew."""
    half = HEAD + b"Content-Length: 5000\r\n\r\n" + b'{"padding": "'
    with ScriptedServer(answers(half, after=LATE * DEADLINE, close=False)) as server:
        assert times_out(transport, server.url) < TOO_LATE


def test_a_tls_handshake_that_does_not_end(transport: Any) -> None:
    """A TLS record that drips: the handshake is part of the exchange."""
    with ScriptedServer(drips(b"\x16\x03\x03\x10\x00" + b"\x02" * 4096), raw=True) as server:
        assert times_out(transport, server.url.replace("http:", "https:")) < TOO_LATE


def test_a_proxy_that_drips(library: str, tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """The answer to CONNECT is part of the exchange, too."""
    with ScriptedServer(drips(b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 1000)) as proxy:
        transport = private(library, proxies=f"http://127.0.0.1:{proxy.port}", verify=tls[1])
        assert times_out(transport, "https://issuer.example/token") < TOO_LATE


@pytest.fixture
def black_hole() -> Iterator[int]:
    """The port of a listener whose queue is full: connecting to it takes for ever."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for each in waiting:
            each.close()


def resolve_to(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """A host name with several addresses; each is a port of loopback."""

    def resolve(host: Any, port: Any, *_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", each)) for each in ports]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def test_a_dead_address_before_a_good_one(transport: Any, black_hole: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """IPv6 goes nowhere, IPv4 works: the first address does not eat the deadline."""
    with ScriptedServer(answers(WHOLE)) as server:
        resolve_to(monkeypatch, black_hole, server.port)
        assert send(transport, "http://issuer.example/token", DEADLINE * 2).body == GRANT


def test_dead_addresses_only(library: str, black_hole: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four of them take the deadline together, not each."""
    resolve_to(monkeypatch, *[black_hole] * 4)
    assert times_out(private(library), "http://issuer.example/token", "not even a connection,") < TOO_LATE


def test_nothing_is_left_behind(transport: Any) -> None:
    """No thread and no connection outlives an exchange, whether it succeeds, fails or passes its deadline."""
    psutil = pytest.importorskip("psutil")
    with ScriptedServer(answers(WHOLE)) as good, ScriptedServer(drips(HEAD)) as slow:
        for _ in range(3):
            send(transport, good.url)
            with pytest.raises(TransportError):
                send(transport, slow.url, 0.2)
        ours = [each.raddr.port for each in psutil.Process().net_connections("tcp") if each.raddr]
        assert [port for port in ours if port in (good.port, slow.port)] == []
    assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]


class OwnAdapter(HTTPAdapter):
    """An adapter of the user's own, whose connections are not ours."""


def test_an_adapter_of_the_users_own() -> None:
    """It sends the request itself; a late answer is in time, and a body that drips ends at the deadline."""
    with requests.Session() as session:
        session.mount("http://", OwnAdapter())
        transport = as_transport(session)
        assert late_answer(transport) == GRANT
        with ScriptedServer(drips(HEAD + b'\r\n{"padding": "' + b"x" * 5000, 0.004)) as server:
            assert times_out(transport, server.url) < TOO_LATE


def test_tls_is_watched_after_its_handshake(library: str, tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """A head that drips over TLS."""
    server_side, client_side = tls
    with ScriptedServer(drips(HEAD + b"X-Padding: " + b"x" * 1000), context=server_side) as server:
        assert times_out(private(library, verify=client_side), server.url) < TOO_LATE
