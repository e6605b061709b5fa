"""FakeAuthorizationServer starts and stops cleanly, with any state of its clients."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
import requests

from m2m_auth.testing import FakeAuthorizationServer

GRANT = {"grant_type": "client_credentials"}


def fake_threads() -> list[threading.Thread]:
    """The threads of fake servers that still run."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("m2m-auth-fake")]


@pytest.mark.loopback
def test_stop_and_start_again() -> None:
    """A stopped server refuses connections; started again it has the same address, tokens and counts."""
    server = FakeAuthorizationServer()
    with pytest.raises(RuntimeError, match="no address yet"):
        _ = server.token_endpoint
    assert server.start() is server
    with pytest.raises(RuntimeError, match="already running"):
        server.start()
    url = server.token_endpoint
    token = requests.post(url, data=GRANT, auth=("client", "secret"), timeout=5).json()["access_token"]
    server.stop()
    server.stop()
    with pytest.raises(requests.ConnectionError):
        requests.post(url, data=GRANT, auth=("client", "secret"), timeout=5)
    with server:
        assert server.token_endpoint == url
        assert server.is_active(token)
        assert requests.post(url, data=GRANT, auth=("client", "secret"), timeout=5).status_code == 200
    assert server.mints == 2
    assert fake_threads() == []


@pytest.mark.loopback
@pytest.mark.parametrize("trouble", ["idle", "hang", "latency", "slow_drip", "stream", "half a request"])
def test_stop_does_not_wait_for_clients(trouble: str) -> None:
    """stop() closes idle, hanging, slow and streaming connections at once and leaves no thread."""
    with FakeAuthorizationServer() as server:
        host, port = server.base_url.removeprefix("http://").split(":")
        body = b"grant_type=client_credentials&client_id=client&client_secret=secret"
        head = (
            b"POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)
        )
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            if trouble == "hang":
                server.fail("hang")
            elif trouble == "latency":
                server.latency = 60
            elif trouble == "slow_drip":
                server.fail("slow_drip", interval=60)
            if trouble in ("hang", "latency", "slow_drip"):
                connection.sendall(head + body)
                server.wait_for_token_requests(1)
            elif trouble == "stream":
                connection.sendall(b"GET /api/stream?interval_ms=60000 HTTP/1.1\r\n\r\n")
                connection.recv(100)
            elif trouble == "half a request":
                connection.sendall(head + body[:5])
            start = time.monotonic()
            server.stop()
            assert time.monotonic() - start < 1
            assert fake_threads() == []
            connection.settimeout(1)
            with suppress(ConnectionResetError):  # what had not been read yet makes the end a reset
                while connection.recv(4096):
                    pass


@pytest.mark.loopback
def test_wait_for_token_requests() -> None:
    """wait_for_token_requests ends with a TimeoutError that has the numbers."""
    with (
        FakeAuthorizationServer() as server,
        pytest.raises(TimeoutError, match=r"0 of 2 token requests arrived within"),
    ):
        server.wait_for_token_requests(2, timeout=0.01)


@pytest.mark.loopback
@pytest.mark.parametrize("keep_alive", [True, False])
def test_keep_alive(keep_alive: bool) -> None:
    """Connections are reused, unless keep_alive is False."""
    with FakeAuthorizationServer() as server, requests.Session() as session:
        server.keep_alive = keep_alive
        ports = set()
        for _ in range(3):
            response = session.post(
                server.token_endpoint, data=GRANT, auth=("client", "secret"), stream=True, timeout=5
            )
            connection = response.raw.connection.sock if keep_alive else None
            ports.add(connection.getsockname() if connection else object())
            assert response.headers["Connection"] == ("keep-alive" if keep_alive else "close")
            assert response.json()["token_type"] == "Bearer"
        assert len(ports) == (1 if keep_alive else 3)


PROGRAM = """
import threading, urllib.request, urllib.error
from m2m_auth.testing import FakeAuthorizationServer
assert "requests" not in __import__("sys").modules
assert "pytest" not in __import__("sys").modules
body = b"grant_type=client_credentials&client_id=client&client_secret=secret"
for mode in ("hang", "reset", "truncated", "slow_drip", None):
    with FakeAuthorizationServer() as server:
        if mode:
            server.fail(mode, **({"interval": 60} if mode == "slow_drip" else {}))
        try:
            urllib.request.urlopen(server.token_endpoint, data=body, timeout=0.2).close()
        except OSError:
            pass
assert threading.active_count() == 1, threading.enumerate()
left_running = FakeAuthorizationServer().start()
urllib.request.urlopen(left_running.token_endpoint, data=body, timeout=5).close()
print("done")
left_running.stop()
"""


@pytest.mark.processes
def test_clean_under_dev_mode() -> None:
    """With python -X dev and every warning an error there is no warning; requests and pytest are not loaded."""
    run = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", PROGRAM], capture_output=True, text=True, timeout=30
    )
    assert (run.stdout, run.stderr, run.returncode) == ("done\n", "", 0)


@pytest.mark.processes
def test_a_forgotten_server_does_not_keep_the_program_alive() -> None:
    """A program that does not stop its server can end."""
    program = "from m2m_auth.testing import FakeAuthorizationServer as F; server = F().start(); print('end')"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (run.stdout, run.returncode) == ("end\n", 0)
