"""Many processes on one disk cache: one mint; a process that dies with the lease delays the others by one lease."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from engine_steps import run_together, source

from m2m_auth import RenewalPolicy
from m2m_auth.caches.disk.disk_token_cache import DiskTokenCache
from m2m_auth.testing import FakeAuthorizationServer

ASK = """if True:
    import sys
    from m2m_auth import TokenSource
    endpoint, client, cache, *scope = sys.argv[1:]
    with TokenSource(endpoint, client, "secret", cache=cache, scope=scope or None) as source:
        print("ready", flush=True)
        sys.stdin.readline()
        print(source.token().value)
"""


def test_8_processes_at_once(server: FakeAuthorizationServer, tmp_path: Path) -> None:
    """8 processes let go together on a cold cache: one token request, one token."""
    server.latency = 0.3
    tokens = run_together(ASK, 8, server.token_endpoint, "client", f"disk:{tmp_path / 'cache'}")
    assert len(set(tokens)) == 1
    assert server.token_requests == 1


def test_8_processes_on_a_real_server(real_server: Any, tmp_path: Path) -> None:
    """The same against servers written by others."""
    tokens = run_together(ASK, 8, real_server.token_endpoint, "client", f"disk:{tmp_path / 'cache'}", "read")
    assert len(set(tokens)) == 1
    assert real_server.token_requests("client") == 1


def test_8_processes_share_one_failure(server: FakeAuthorizationServer, tmp_path: Path) -> None:
    """8 processes at once against a server that says 503: one attempt; all fail with its cause, fast."""
    code = ASK.replace("print(source.token().value)", "print(failure(source))").replace(
        "with TokenSource",
        """import logging; logging.disable()
    from m2m_auth import TokenUnavailable
    def failure(source):
        try: source.token()
        except TokenUnavailable as error: return error.cause_code
    with TokenSource""",
    )
    server.latency = 0.3
    server.fail("429", retry_after=600)
    causes = run_together(code, 8, server.token_endpoint, "client", f"disk:{tmp_path / 'cache'}")
    assert causes == ["http_429"] * 8
    assert server.token_requests == 1


def test_a_killed_holder_delays_the_others_by_one_lease(server: FakeAuthorizationServer, tmp_path: Path) -> None:
    """SIGKILL in the middle of the mint: the next process waits for the lease to lapse, and mints; one extra mint."""
    folder = tmp_path / "cache"
    policy = RenewalPolicy(mint_deadline=2.0, lease=3.0)
    server.fail("hang", times=1)
    code = """if True:
        import sys
        from m2m_auth import RenewalPolicy, TokenSource
        policy = RenewalPolicy(mint_deadline=2.0, lease=3.0)
        TokenSource(sys.argv[1], "client", "secret", cache="disk:" + sys.argv[2], policy=policy).token()
    """
    holder = subprocess.Popen([sys.executable, "-c", code, server.token_endpoint, str(folder)])
    try:
        server.wait_for_token_requests(1)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    server.recover()
    start = time.monotonic()
    other = source(server, cache=DiskTokenCache(folder), policy=policy)
    assert server.is_active(other.token().value)
    assert time.monotonic() - start < 10
    assert server.token_requests == 2
    other.close()


@pytest.mark.slow
def test_processes_share_through_many_lifetimes(server: FakeAuthorizationServer, tmp_path: Path) -> None:
    """4 processes use 4 s tokens for 12 s: about one mint per lifetime for all, and no call has a dead token."""
    server.lifetime = 4
    code = """if True:
        import sys, time, urllib.request
        from m2m_auth import TokenSource
        endpoint, api, cache = sys.argv[1:]
        with TokenSource(endpoint, "client", "secret", cache=cache) as source:
            print("ready", flush=True)
            sys.stdin.readline()
            until, calls = time.monotonic() + 12, 0
            while time.monotonic() < until:
                headers = {"Authorization": source.token().authorization}
                urllib.request.urlopen(urllib.request.Request(api, headers=headers), timeout=10).close()
                calls += 1
                time.sleep(0.02)
            print(calls)
    """
    api = server.base_url + "/api/things"
    calls = run_together(code, 4, server.token_endpoint, api, f"disk:{tmp_path / 'cache'}")
    assert all(int(count) > 50 for count in calls)
    assert {call.status for call in server.api_calls} == {200}
    # Three lifetimes of 4 s, each renewed from 3 s on, by the process whose jitter is smallest.
    assert 3 <= server.mints <= 7


def test_an_exiting_process_lands_first(server: FakeAuthorizationServer, tmp_path: Path) -> None:
    """A process that ends while its flight is under way waits for it: no mint is lost, no lease left behind."""
    server.latency = 1.0
    code = """if True:
        import sys, threading
        from m2m_auth import TokenSource
        source = TokenSource(sys.argv[1], "client", "secret", cache=sys.argv[2])
        threading.Thread(target=source.token, daemon=True).start()
        sys.stdin.readline()
    """
    url = f"disk:{tmp_path / 'cache'}"
    command = [sys.executable, "-c", code, server.token_endpoint, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as exiting:
        server.wait_for_token_requests(1)
        exiting.communicate(b"exit\n", timeout=30)
    with source(server, cache=url) as other:
        other.token()
    assert server.mints == 1
