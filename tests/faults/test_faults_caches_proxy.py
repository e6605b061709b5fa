"""The fault proxy itself, between a plain socket and an echo server: each of its faults is what it says."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator

import pytest
from real_servers.fault_proxy import FaultProxy

pytestmark = pytest.mark.loopback

BLINK = 0.2
"""Seconds in which an answer on loopback does not come if it is held back."""


class Echo(socketserver.StreamRequestHandler):
    """Sends every line back."""

    def handle(self) -> None:
        """Serve one connection."""
        with contextlib.suppress(OSError):
            for line in self.rfile:
                self.wfile.write(line)


class EchoServer(socketserver.ThreadingTCPServer):
    """An echo server on a free port, from its construction to its close."""

    daemon_threads = True
    block_on_close = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Echo)
        self.port = int(self.server_address[1])
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def server_close(self) -> None:
        """Stop and close."""
        self.shutdown()
        self.thread.join()
        super().server_close()


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    """A proxy before an echo server."""
    with EchoServer() as echo, FaultProxy(echo.port) as running:
        yield running


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[socket.socket]:
    """An open connection that has already been used."""
    with connected(proxy) as connection:
        assert ask(connection, b"hello\n") == b"hello\n"
        yield connection


def connected(proxy: FaultProxy) -> socket.socket:
    """A new connection."""
    return socket.create_connection(("127.0.0.1", proxy.port), 10)


def ask(connection: socket.socket, line: bytes) -> bytes:
    """One request and what is there of its reply; b"" if it was closed instead."""
    connection.sendall(line)
    return connection.recv(1000)


def stays_silent(connection: socket.socket, line: bytes = b"") -> bool:
    """Whether the connection stays silent and open."""
    connection.settimeout(BLINK)
    try:
        connection.sendall(line)
        connection.recv(1000)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(10)
    return False


def test_passes_through_and_counts(proxy: FaultProxy) -> None:
    """Two connections, five requests: everything arrives, and is counted."""
    with connected(proxy) as one, connected(proxy) as two:
        for connection, line in ((one, b"a\n"), (two, b"bb\n"), (one, b"c\n"), (one, b"d\n"), (two, b"ee\n")):
            assert ask(connection, line) == line
    assert (proxy.connections, proxy.requests, proxy.replies, proxy.swapped) == (2, 5, 5, 0)
    assert (proxy.request_bytes, proxy.reply_bytes) == (12, 12)


def test_refuses_and_comes_back_on_its_port(proxy: FaultProxy, client: socket.socket) -> None:
    """Open connections end, new ones are refused; twice over; then the same port works again."""
    port = proxy.port
    for _ in range(2):
        proxy.refuse()
        assert client.recv(10) == b""
        with pytest.raises(ConnectionRefusedError):
            connected(proxy)
    proxy.recover()
    assert proxy.port == port
    with connected(proxy) as again:
        assert ask(again, b"again\n") == b"again\n"


def test_resets_new_connections_and_open_ones_in_mid_reply(proxy: FaultProxy, client: socket.socket) -> None:
    """A new connection is reset at once; an open one in the middle of its next reply."""
    proxy.reset()
    with pytest.raises(ConnectionResetError), connected(proxy) as new:
        new.recv(10)
    client.sendall(b"12345678\n")
    got: list[bytes] = []
    with pytest.raises(ConnectionResetError):
        got.extend(iter(lambda: client.recv(100), None))
    assert b"".join(got) in {b"", b"1234"}  # a reset may overtake what came before it


def test_delays_replies(proxy: FaultProxy, client: socket.socket) -> None:
    """The reply is delayed; what is under way when the fault ends still arrives, late."""
    proxy.delay(600)
    assert stays_silent(client, b"late\n")
    proxy.recover()
    assert client.recv(100) == b"late\n"
    proxy.delay(BLINK / 10)
    assert ask(client, b"soon\n") == b"soon\n"


def test_half_open_carries_requests_out(proxy: FaultProxy, client: socket.socket) -> None:
    """Requests reach the server, and no reply comes: on connections that are open and on new ones."""
    before = proxy.requests
    proxy.half_open()
    assert stays_silent(client, b"x\n")
    with connected(proxy) as new:
        assert stays_silent(new, b"y\n")
    assert proxy.requests - before == 2
    assert proxy.replies == 1


def test_a_black_hole_swallows(proxy: FaultProxy, client: socket.socket) -> None:
    """Connections are taken and nothing comes back; what was sent arrives when the fault is over."""
    proxy.black_hole()
    with connected(proxy) as new:
        assert stays_silent(new, b"new\n")
        assert stays_silent(client, b"old\n")
        proxy.recover()
        assert (new.recv(100), client.recv(100)) == (b"new\n", b"old\n")


def test_truncates_and_closes(proxy: FaultProxy, client: socket.socket) -> None:
    """The first bytes of a reply, then the end."""
    proxy.truncate(3)
    assert ask(client, b"12345\n") == b"123"
    assert client.recv(100) == b""


def test_truncates_and_stays_open(proxy: FaultProxy, client: socket.socket) -> None:
    """The first bytes of each reply, then silence."""
    proxy.truncate(3, close=False)
    for line in (b"12345\n", b"67890\n"):
        assert ask(client, line) == line[:3]
        assert stays_silent(client)
    proxy.truncate(0, close=False)
    assert stays_silent(client, b"1\n")


def test_swaps_the_replies_of_two_connections(proxy: FaultProxy, client: socket.socket) -> None:
    """Each connection gets the other's reply; a single one gets its own."""
    with connected(proxy) as other:
        proxy.swap(patience=10)
        client.sendall(b"for the first\n")
        other.sendall(b"for the second\n")
        assert client.recv(100) == b"for the second\n"
        assert other.recv(100) == b"for the first\n"
        assert proxy.swapped == 2
        proxy.swap(patience=0.01)
        assert ask(client, b"lonely\n") == b"lonely\n"
        assert proxy.swapped == 2


def test_redirects_to_another_server(proxy: FaultProxy, client: socket.socket) -> None:
    """Connections to the old server end; new ones lead to the new one, and are reset where there is none."""
    with EchoServer() as other:
        proxy.point_at(other.port)
        assert client.recv(10) == b""
        with connected(proxy) as new:
            assert ask(new, b"new\n") == b"new\n"
    with pytest.raises(ConnectionResetError), connected(proxy) as refused:
        refused.recv(10)


def test_closing_ends_every_thread(proxy: FaultProxy, client: socket.socket) -> None:
    """The proxy also closes while it delays a reply."""
    proxy.black_hole()
    client.sendall(b"held\n")
    proxy.close()
    assert not [thread for thread in threading.enumerate() if thread.name == f"fault-proxy-{proxy.port}"]
