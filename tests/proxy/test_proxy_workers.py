"""The proxy as it is run: gunicorn with workers on one Valkey, two hosts of it, in front of django-oauth-toolkit."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis
from proxy_steps import Asking
from real_servers import AuthorizationServer, ClientSpec, start_dot
from real_servers.gunicorns import gunicorn
from real_servers.stores import Store, start_valkey

from m2m_auth.proxy import Counts, TokenProxy, add_vendor, load
from m2m_auth.values import replace

SCOPES = ("read", "write")


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """A Valkey server."""
    with start_valkey() as running_store:
        yield running_store


@pytest.fixture
def valkey(store: Store) -> Store:
    """The same, with nothing in it."""
    with redis.Redis(port=store.port) as client:
        client.flushall()
    return store


@pytest.fixture(scope="module")
def upstream() -> Iterator[AuthorizationServer]:
    """django-oauth-toolkit, which knows the proxy and two vendors."""
    clients = [ClientSpec(name, f"{name}'s secret", SCOPES) for name in ("proxy", "acme", "bolt")]
    with start_dot(clients) as server:
        yield server


@pytest.fixture
def dot(upstream: AuthorizationServer) -> AuthorizationServer:
    """The same, its counts at zero."""
    upstream.reset()
    return upstream


def written(folder: Path, server: AuthorizationServer, store: Store, own: bool, more: str = "") -> Path:
    """A configuration: the proxy with its own credentials upstream, or with vendors that keep theirs."""
    (folder / "pepper").write_text(f"a pepper for {folder.name} and no other")
    file = folder / "proxy.toml"
    credentials = 'client_id = "proxy"\nclient_secret = "proxy\'s secret"' if own else ""
    tables = "".join(f'[vendors.{name}]\nscopes = ["read", "write"]\n{more}\n' for name in ("acme", "bolt"))
    file.write_text(
        f'pepper = {{ file = "pepper" }}\ncache = "valkey://{store.address}?timeout=10"\n'
        f'[upstreams.main]\ntoken_endpoint = "{server.token_endpoint}"\n{credentials}\n{tables}'
    )
    return file


@contextmanager
def hosted(config: Path, log: Path, *options: str) -> Iterator[Asking]:
    """A client of a gunicorn that serves this configuration."""
    threads = ("--worker-class=gthread", "--threads=4")
    environment = {"M2M_AUTH_PROXY_CONFIG": str(config)}
    with gunicorn("m2m_auth.proxy:app()", log, *threads, *options, environment=environment) as address:
        yield Asking(f"{address}/oauth/token")


@pytest.mark.parametrize("preload", [False, True])
def test_one_mint_for_two_hosts(tmp_path: Path, dot: AuthorizationServer, valkey: Store, preload: bool) -> None:
    """Two gunicorns with two workers each, 200 cold requests at once: one mint per vendor; the ledger adds all up."""
    config = written(tmp_path, dot, valkey, own=True)
    secrets = {name: add_vendor(config, name) for name in ("acme", "bolt")}
    options = ("--workers=2", *(["--preload"] if preload else []))
    with ExitStack() as stack:
        hosts = [stack.enter_context(hosted(config, tmp_path / f"log{number}", *options)) for number in range(2)]
        asked = [(hosts[number % 2], ("acme", "bolt")[number // 2 % 2]) for number in range(200)]
        with ThreadPoolExecutor(20) as pool:
            got = list(pool.map(lambda each: (each[1], each[0].token(each[1], secrets[each[1]], None).token), asked))
        assert len({token for _, token in got}) == len(set(got)) == 2
        assert dot.mints("proxy") == 2
    # Each worker wrote its totals before it ended.
    proxy = TokenProxy(load(config))
    try:
        reports = {report.vendor: report.month for report in proxy.ledger.report()}
        assert (
            replace(reports["acme"], served=0)
            == replace(reports["bolt"], served=0)
            == Counts(asked=100, served=0, minted=1, refused=0)
        )
        # A request that waited for another worker's mint is a miss without a mint.
        assert 96 <= reports["acme"].served <= 99
    finally:
        proxy.close()


def test_vendors_keep_their_credentials_over_workers(tmp_path: Path, dot: AuthorizationServer, valkey: Store) -> None:
    """Four workers share which secrets are right, and share one bound on wrong ones."""
    config = written(tmp_path, dot, valkey, own=False)
    config.write_text("failures_per_minute = 10000\nsecret_attempts_per_minute = 4\n" + config.read_text())
    with hosted(config, tmp_path / "log", "--workers=4", "--preload") as ask, ThreadPoolExecutor(16) as pool:
        tokens = list(pool.map(lambda _: ask.token("acme", "acme's secret", None).token, range(80)))
        assert len(set(tokens)) == 1
        assert (dot.mints("acme"), dot.token_requests("acme")) == (1, 1)
        statuses = list(pool.map(lambda number: ask.token("acme", f"guess {number}", None).status, range(200)))
        assert set(statuses) == {401}
        assert dot.token_requests("acme") <= 1 + 2 * 4  # twice the bound, if the minute changes during the test
        assert ask.token("acme", "acme's secret", None).token == tokens[0]


def test_a_budget_over_workers(tmp_path: Path, dot: AuthorizationServer, valkey: Store) -> None:
    """A vendor over its budget is refused by every worker, and counted exactly; the others go on."""
    config = written(tmp_path, dot, valkey, own=True, more="mints_per_month = 2")
    secrets = {name: add_vendor(config, name) for name in ("acme", "bolt")}
    with hosted(config, tmp_path / "log", "--workers=3", "--preload") as ask, ThreadPoolExecutor(12) as pool:
        for scope in ("read", "write"):
            assert ask.token("acme", secrets["acme"], None, scope=scope).status == 200
        refused = list(pool.map(lambda _: ask.token("acme", secrets["acme"], None).status, range(60)))
        assert set(refused) == {429}
        held = pool.map(lambda _: ask.token("acme", secrets["acme"], None, scope="read").status, range(30))
        assert set(held) == {200}
        assert ask.token("bolt", secrets["bolt"], None).status == 200
    assert dot.mints("proxy") == 3
    proxy = TokenProxy(load(config))
    try:
        worst = proxy.ledger.report()[0]
        assert (worst.vendor, worst.month.minted, worst.month.refused, worst.month.asked) == ("acme", 2, 60, 92)
    finally:
        proxy.close()


def test_a_worker_that_is_killed(tmp_path: Path, dot: AuthorizationServer, valkey: Store) -> None:
    """SIGKILL loses at most two seconds of its hits, no mint and no refusal; its successor serves the shared token."""
    config = written(tmp_path, dot, valkey, own=True, more="mints_per_hour = 1")
    secret = add_vendor(config, "acme")
    with hosted(config, tmp_path / "log", "--workers=1") as ask:
        first = ask.token("acme", secret, None, scope="read").token
        assert ask.token("acme", secret, None, scope="write").status == 429
        words = (tmp_path / "log").read_text()
        worker = int(next(line.rpartition(" ")[2] for line in words.splitlines() if "Booting worker" in line))
        os.kill(worker, signal.SIGKILL)
        assert ask.token("acme", secret, None, scope="read").token == first
        assert ask.token("acme", secret, None, scope="write").status == 429
    assert dot.mints("proxy") == 1
    proxy = TokenProxy(load(config))
    try:
        month = proxy.ledger.report()[0].month
        assert (month.minted, month.refused) == (1, 2)
        assert 2 <= month.asked <= 4
    finally:
        proxy.close()
