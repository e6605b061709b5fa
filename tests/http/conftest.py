"""The parameters of the behaviour suite: the clients, and a fake server on a fake clock."""

from __future__ import annotations

import importlib.util
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from bodies import CONTENT, START
from callers import DRIVERS, Caller, open_caller
from front_doors import FRONT_DOORS
from scripted_server import library_named

from m2m_auth.testing import FakeAuthorizationServer, FakeClock


@pytest.fixture(params=DRIVERS)
def caller(request: pytest.FixtureRequest) -> Iterator[Caller]:
    """A client for each driver, or those that the test names with ``clients``."""
    if importlib.util.find_spec(request.param.partition("-")[0]) is None:
        pytest.skip("not installed on this Python")
    with open_caller(request.param) as opened:
        yield opened


@pytest.fixture(params=FRONT_DOORS)
def library(request: pytest.FixtureRequest) -> str:
    """The name of each library that is installed."""
    library_named(request.param)
    name: str = request.param
    return name


@pytest.fixture
def clock() -> FakeClock:
    """The clock of client and server."""
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> Iterator[FakeAuthorizationServer]:
    """A fake authorization server with an API."""
    with FakeAuthorizationServer(clock=clock) as running:
        yield running


@pytest.fixture
def elsewhere() -> Iterator[FakeAuthorizationServer]:
    """Another origin, where every call is a 401."""
    with FakeAuthorizationServer() as running:
        running.accept_tokens = "none"
        yield running


@pytest.fixture
def api(server: FakeAuthorizationServer) -> str:
    """A URL of the server's API."""
    return server.base_url + "/api/things"


@pytest.fixture
def auth(caller: Caller, server: FakeAuthorizationServer, clock: FakeClock) -> Any:
    """An M2MAuth on the caller's client, with a token that is one minute old."""
    auth = caller.auth(server, clock)
    caller.attach(auth)
    auth.source.token()
    clock.advance(60)
    return auth


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Any]:
    """A real file whose first bytes have been read already."""
    path = tmp_path / "upload.bin"
    path.write_bytes(CONTENT)
    with path.open("rb") as opened:
        opened.seek(START)
        yield opened


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A private certificate authority."""
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS for a server on loopback, and for a client that trusts it."""
    server_side, client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(server_side)
    authority.configure_trust(client_side)
    return server_side, client_side
