"""Races over every shared cache, each on its real server: 8 processes with 16 threads each, and one mint."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from engine_steps import eventually, run_together
from real_servers.stores import start_dynamodb, start_memcached, start_valkey

from m2m_auth.testing import FakeAuthorizationServer

AT_ONCE = """if True:
    import sys, threading, time
    from m2m_auth import RenewalPolicy, TokenSource
    endpoint, cache, moments = sys.argv[1:]
    source = TokenSource(endpoint, "client", "secret", cache=cache, policy=RenewalPolicy(mint_deadline=3.0, lease=4.0))
    tokens, taken, barrier = set(), [], threading.Barrier(16)

    def ask(moment):
        barrier.wait()
        if moment == "expiry":
            time.sleep(max(taken[0].expires_at - time.time(), 0) + 0.05)
        token = source.token()
        taken.append(token)
        tokens.add(token.value)

    print("ready", flush=True)
    sys.stdin.readline()
    for moment in moments.split():
        threads = [threading.Thread(target=ask, args=[moment]) for _ in range(16)]
        tokens.clear()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(*tokens, flush=True)
    source.close()
"""
HOLD = """if True:
    import sys
    from m2m_auth import RenewalPolicy, TokenSource
    policy = RenewalPolicy(mint_deadline=3.0, lease=4.0)
    TokenSource(sys.argv[1], "client", "secret", cache=sys.argv[2], policy=policy).token()
"""


@pytest.fixture(params=["disk", "redis", "memcached", "dynamodb"])
def cache_url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A new cache of each kind. Deadlines are long: this is no test of a busy machine's speed."""
    if request.param == "disk":
        yield f"disk:{tmp_path / 'cache'}"
    elif request.param == "redis":
        with start_valkey() as store:
            yield f"redis://{store.address}/0?timeout=5"
    elif request.param == "memcached":
        with start_memcached() as store:
            yield f"memcached://{store.address}?timeout=5"
    else:
        from m2m_auth.caches.dynamodb.dynamodb_token_cache import DynamoDBTokenCache

        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        with start_dynamodb() as store:
            url = f"dynamodb://tokens?region=us-east-1&endpoint_url=http://{store.address}&timeout=5"
            table = DynamoDBTokenCache.from_url(url)
            table.create_table()
            table.close()
            yield url


@pytest.mark.slow
def test_cold_and_at_expiry(server: FakeAuthorizationServer, cache_url: str) -> None:
    """128 callers in 8 processes, cold and again when their token has just expired: one mint each time."""
    server.latency, server.lifetime = 0.3, 4
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run_together, AT_ONCE, 8, server.token_endpoint, cache_url, "cold expiry")
        eventually(lambda: server.mints == 1 or running.done())
        server.lifetime = 3600
        printed = running.result()
    cold, later = (set(tokens) for tokens in zip(*(lines.splitlines() for lines in printed), strict=True))
    assert (len(cold), len(later)) == (1, 1)
    assert cold != later
    assert server.token_requests == 2


@pytest.mark.slow
def test_with_the_lease_holder_killed(server: FakeAuthorizationServer, cache_url: str) -> None:
    """SIGKILL of the process that mints; 128 callers wait until its lease lapses, and one of them mints: two in all."""
    server.fail("hang", times=1)
    holder = subprocess.Popen([sys.executable, "-c", HOLD, server.token_endpoint, cache_url])
    try:
        server.wait_for_token_requests(1)
    finally:
        holder.kill()
        holder.wait()
    server.recover()
    printed = run_together(AT_ONCE, 8, server.token_endpoint, cache_url, "cold")
    assert len(set(printed)) == 1
    assert server.token_requests == 2
