"""Short runs of the handler, each a process of its own, against Authlib's server and an API over https."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from auth0.management import ManagementClient
from real_servers import AuthorizationServer, ClientSpec, start_authlib
from tenant import Tenant

from m2m_auth import TokenSource
from m2m_auth.httpx import M2MAuth
from m2m_auth.testing import FakeClock

pytestmark = pytest.mark.processes

HERE = Path(__file__).resolve().parent
NO_LEASE = "BoundedCache(Shelf) has no atomic_add"
NO_COUNTERS = "BoundedCache(Shelf) has no atomic_increment"


def problems(run: dict[str, Any]) -> list[str]:
    """A run's warnings, without the two that every run logs for such a store."""
    return [warning for warning in run["warnings"] if not warning.startswith((NO_LEASE, NO_COUNTERS))]


class World:
    """The tenant, its authorization server, and the platform with its store."""

    def __init__(self, folder: Path, stack: ExitStack, scopes: tuple[str, ...] = ("read:users",)) -> None:
        self._folder = folder
        self.tenant = stack.enter_context(Tenant(folder))
        client = ClientSpec("action", "s3cr3t", scopes, (self.tenant.audience,), lifetime=86_400)
        self.server: AuthorizationServer = stack.enter_context(start_authlib([client]))
        assert self.server.jwks_url is not None
        self.tenant.trust(self.server.token_endpoint, self.server.jwks_url, self.server.base_url)

    def runs(self, processes: int, each: int = 1) -> list[dict[str, Any]]:
        """The answers of all runs, in order: ``each`` runs in each of ``processes`` cold processes."""
        quiet = {"PYTHONWARNINGS": "", "PYTHONDEVMODE": "", "PYTHONDONTWRITEBYTECODE": "", "no_proxy": "127.0.0.1"}
        settings = {"DOMAIN": self.tenant.domain, "CLIENT_ID": "action", "CLIENT_SECRET": "s3cr3t"}
        trusted = str(self.tenant.authorities)
        done = subprocess.run(
            [sys.executable, str(HERE / "runs.py"), str(self._folder / "records"), str(processes), str(each)],
            env={**os.environ, **quiet, **settings, "SSL_CERT_FILE": trusted, "REQUESTS_CA_BUNDLE": trusted},
            stdout=subprocess.PIPE,
            timeout=110,
            check=True,
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    def store_is_full(self) -> None:
        """Makes every later write fail."""
        (self._folder / "full").mkdir()

    def stored(self) -> bytes:
        """The content of the platform's store."""
        return (self._folder / "records").read_bytes()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Everything ends with the test."""
    with ExitStack() as stack:
        yield World(tmp_path, stack)


@pytest.mark.slow
def test_a_thousand_runs_one_mint(world: World) -> None:
    """100 cold processes of 10 runs, with nothing in common but the store: one mint; nothing readable is stored.

    Each run builds everything anew. The first of a process finds the token in the store, the others in the process.
    """
    runs = world.runs(100, 10)
    assert [run.get("email") for run in runs] == ["pat@example.com"] * 1000
    assert len({run["process"] for run in runs}) == 100
    assert [problems(run) for run in runs if problems(run)] == []
    assert world.server.mints() == 1
    assert [status for status, _ in world.tenant.calls] == [200] * 1000
    (authorization,) = {authorization for _, authorization in world.tenant.calls}
    assert authorization.removeprefix("Bearer ").encode() not in world.stored()
    assert b"s3cr3t" not in world.stored()


def test_a_store_that_takes_nothing_only_logs(world: World) -> None:
    """Every run works and warns once; each mints, since nothing is shared: what the README says it costs."""
    world.store_is_full()
    runs = world.runs(10)
    assert [run.get("email") for run in runs] == ["pat@example.com"] * 10
    assert [len(problems(run)) for run in runs] == [1] * 10
    assert "BoundedCache(Shelf): OSError" in problems(runs[0])[0]
    assert world.server.mints() == 10


def test_a_store_that_fails_later_keeps_its_token(world: World) -> None:
    """Once a token is stored, a store that takes no more writes costs nothing until the token's end."""
    world.runs(1)
    world.store_is_full()
    runs = world.runs(10)
    assert [run.get("email") for run in runs] == ["pat@example.com"] * 10
    assert [problems(run) for run in runs] == [[]] * 10
    assert world.server.mints() == 1


def test_a_token_too_long_for_a_record(tmp_path: Path) -> None:
    """A client with every scope there is: its token does not fit, every run works, and the warning says why."""
    scopes = ("read:users", *(f"update:something_with_a_long_name_{number}" for number in range(80)))
    with ExitStack() as stack:
        world = World(tmp_path, stack, scopes)
        runs = world.runs(3)
    assert [run.get("email") for run in runs] == ["pat@example.com"] * 3
    for run in runs:
        (warning,) = problems(run)
        assert "max_value" in warning
        assert "the limit is 4096" in warning


def test_a_revoked_token_is_replaced(world: World) -> None:
    """The README's client that sees the 401: the SDK's call is answered with a new token, and the SDK sees nothing."""
    tenant, clock = world.tenant, FakeClock()
    tls = ssl.create_default_context(cafile=str(tenant.authorities))
    with httpx.Client(verify=tls, trust_env=False) as transport:
        source = TokenSource(
            f"https://{tenant.domain}/oauth/token",
            "action",
            "s3cr3t",
            client_authentication="client_secret_post",
            audience=tenant.audience,
            transport=transport,
            clock=clock,
        )
        auth = M2MAuth.from_source(source)
        with httpx.Client(auth=auth, verify=tls, trust_env=False) as client:
            management = ManagementClient(domain=tenant.domain, token=source, httpx_client=client)
            assert management.users.get("auth0|7").email == "pat@example.com"
            clock.advance(60)
            tenant.revoked.add(tenant.calls[0][1])
            assert management.users.get("auth0|7").email == "pat@example.com"
    assert [status for status, _ in tenant.calls] == [200, 401, 200]
    assert world.server.mints() == 2
