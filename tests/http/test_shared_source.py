"""One TokenSource for everything at once: front doors, threads, event loops, SDKs."""

from __future__ import annotations

import contextlib
import importlib.util
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import trustme
from callers import CALLERS, SYNC, Caller, clients, open_caller
from wire import tls_server

from m2m_auth import TokenEndpointUnavailable, TokenSource
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.testing import FakeAuthorizationServer, FakeClock

pytestmark = pytest.mark.loopback


def test_all_front_doors_at_once_share_one_mint(server: FakeAuthorizationServer, clock: FakeClock, api: str) -> None:
    """requests, httpx and httpx2, sync, asyncio and trio, start cold on one source together: one mint."""
    names = [name for name in CALLERS if importlib.util.find_spec(name.partition("-")[0])]
    source = TokenSource(server.token_endpoint, "client", "secret", cache=MemoryTokenCache(), clock=clock)
    server.latency = 0.2
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(2 * len(names)) as pool:
        callers = [stack.enter_context(open_caller(name)) for name in names]
        for caller in callers:
            caller.attach(caller.front_door.M2MAuth.from_source(source))
        answers = list(pool.map(lambda caller: caller.get(api).status, callers * 2))
        assert answers == [200] * 2 * len(names)
        assert server.mints == 1
        # One refusal that all of them see at once costs one mint too.
        clock.advance(60)
        server.revoke_all()
        answers = list(pool.map(lambda caller: caller.get(api).status, callers * 2))
        assert answers == [200] * 2 * len(names)
        assert server.mints == 2


def test_from_source_keeps_the_source_and_its_own_rules(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock
) -> None:
    """auth.source is the same object; allowed_origins and is_rejection belong to this auth alone."""
    source = caller.auth(server, clock).source
    strict = caller.front_door.M2MAuth.from_source(source, allowed_origins=["https://api.example.com"])
    open_ = caller.front_door.M2MAuth.from_source(source, is_rejection=lambda status, headers: status == 419)
    assert strict.source is open_.source is source
    with pytest.raises(Exception, match="allowed_origins"):
        caller.get(server.base_url + "/api/things", auth=strict)
    assert caller.get(server.base_url + "/api/things", auth=open_).status == 200
    clock.advance(60)
    server.api_status = 419
    assert caller.get(server.base_url + "/api/things", auth=open_).statuses == [419]
    assert server.mints == 2


def test_from_source_names_an_option_that_it_does_not_have(caller: Caller, server: FakeAuthorizationServer) -> None:
    """A misspelt one with the nearest; one of the source with the place where it belongs."""
    front_door = caller.front_door.M2MAuth
    source = caller.auth(server).source
    with pytest.raises(
        TypeError, match=r"unknown option 'hedaer' \(did you mean 'header'\?\)\. Known: source, allowed_"
    ):
        front_door.from_source(source, hedaer="X-Api-Token")
    for option in ("answers", "verify", "cache"):
        with pytest.raises(
            TypeError, match=rf"^{option} is an option of the source\. Fix: TokenSource\(…, {option}=…\)"
        ):
            front_door.from_source(source, **{option: None})


def test_one_auth_on_several_clients(caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any) -> None:
    """One object works on the client and as auth= of a single call."""
    assert caller.get(api).status == caller.get(api, auth=auth).status == caller.get(api).status == 200
    assert server.mints == 1


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A private certificate authority."""
    return trustme.CA()


@pytest.fixture
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    """TLS for a server on localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def client_context(authority: trustme.CA) -> ssl.SSLContext:
    """TLS for a client that trusts the authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


CLIENTS = {"start": 0, "limit": 50, "total": 1, "clients": [{"client_id": "one", "name": "One"}]}


@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")  # in the SDK's own docstrings
def test_auth0s_sdk_takes_a_source(server_context: ssl.SSLContext, client_context: ssl.SSLContext) -> None:
    """auth0-python's ManagementClient with token=source: each call carries the bearer; ten calls, one mint."""
    from auth0.management import ManagementClient

    with (
        tls_server(server_context, CLIENTS) as (port, seen),
        httpx.Client(verify=client_context, trust_env=False) as http,
        httpx.Client(verify=client_context, trust_env=False) as transport,
    ):
        source = TokenSource(
            f"https://localhost:{port}/oauth/token",
            "client",
            "secret",
            audience=f"https://localhost:{port}/api/v2/",
            transport=transport,
            cache=MemoryTokenCache(),
        )
        sdk = ManagementClient(domain=f"localhost:{port}", token=source, httpx_client=http)
        for _ in range(10):
            first = next(iter(sdk.clients.list()))
            assert first.client_id == "one"
    mints = [path for method, path, _ in seen if method == "POST"]
    calls = [authorization for method, _, authorization in seen if method == "GET"]
    assert mints == ["/oauth/token"]
    assert len(calls) >= 10
    assert set(calls) == {"Bearer over-tls"}


@clients(*SYNC)
def test_a_private_authority_through_the_users_session(
    caller: Caller, authority: trustme.CA, server_context: ssl.SSLContext, tmp_path: Path
) -> None:
    """transport=Session with verify=: the token comes over TLS; without it TLS fails, says so, and nothing is sent."""
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    with tls_server(server_context, {}) as (port, seen), requests.Session() as session:
        session.verify = str(bundle)
        session.trust_env = False
        endpoint = f"https://localhost:{port}/oauth/token"
        new = caller.front_door.M2MAuth
        assert new(endpoint, "client", "secret", transport=session, cache=MemoryTokenCache()).source() == "over-tls"
        with pytest.raises(TokenEndpointUnavailable, match="TLS failed") as caught:
            new(endpoint, "client", "secret", cache=MemoryTokenCache()).source.token()
    assert caught.value.cause_code == "tls"
    assert len(seen) == 1
