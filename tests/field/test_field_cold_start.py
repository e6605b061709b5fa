"""Programs that start while the authorization server restarts: a blip is not noticed, an outage fails soon."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from field_support import Door, odd_server
from real_servers.odd_http import Asked, OddServer, Reply, plain_token

from m2m_auth import (
    RenewalPolicy,
    TokenEndpointUnavailable,
    TokenUnavailable,
)
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.testing import FakeClock

pytestmark = pytest.mark.loopback

REQUESTS = pytest.mark.parametrize("door", ["requests"], indirect=True)


BLIPS = {
    "a reset": Reply(reset=True),
    "502": Reply(b"<html>Bad Gateway</html>", 502),
    "503": Reply(b"", 503),
    "504": Reply(b"", 504),
}


def first_then_token(blip: Reply, times: int = 1) -> Any:
    """A token endpoint whose first answers are a blip."""
    left = [blip] * times
    return lambda server, asked: left.pop() if left else plain_token(server, asked)


@pytest.mark.parametrize("blip", BLIPS.values(), ids=BLIPS)
def test_one_blip_at_a_cold_start_is_not_noticed(door: Door, clock: FakeClock, blip: Reply) -> None:
    """A rollout of the server or its gateway: the first call tries twice, 0.3 to 0.6 s apart, and works."""
    events: list[str] = []
    with odd_server(first_then_token(blip), clock=clock) as server:
        auth = door.auth(server, clock, on_event=lambda event: events.append(event.kind))
        assert door.get(server.api_url, auth).status_code == 200
    assert "renewal_failed" not in events
    assert len(server.token_requests) == 2
    assert 0.3 <= server.token_requests[1].time - server.token_requests[0].time <= 0.7


@REQUESTS
def test_two_blips_are_a_failure(door: Door, clock: FakeClock) -> None:
    """No more than two attempts: what lasts is an outage, and its error comes within the second."""
    with odd_server(first_then_token(BLIPS["503"], 10), clock=clock) as server:
        with pytest.raises(TokenEndpointUnavailable):
            door.get(server.api_url, door.auth(server, clock))
        assert len(server.token_requests) == 2


@REQUESTS
@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_only_blips_are_tried_twice(door: Door, clock: FakeClock, status: int) -> None:
    """A refusal, a throttle and a fault of the server itself are no blips."""
    with odd_server(lambda server, asked: Reply({"error": "invalid_scope"}, status), clock=clock) as server:
        with pytest.raises(TokenUnavailable):
            door.get(server.api_url, door.auth(server, clock))
        assert len(server.token_requests) == 1


def closed_port() -> str:
    """A URL where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/token"


def test_an_outage_fails_within_seconds(door: Door) -> None:
    """A refused connection is known at once: the call fails long before ``max_wait``, with the cause."""
    auth = door.M2MAuth(closed_port(), "client", "secret", cache=MemoryTokenCache())
    began = time.monotonic()
    with pytest.raises(TokenEndpointUnavailable) as raised:
        auth.source.token()
    assert time.monotonic() - began < RenewalPolicy().max_wait / 4
    assert raised.value.cause_code != "max_wait"


WORKERS = """
import os, sys, requests
from m2m_auth.requests import M2MAuth
endpoint, api, folder = sys.argv[1:]
gate, held_open = os.pipe()
for _ in range(10):
    if os.fork() == 0:
        os.close(held_open)
        os.read(gate, 1)  # until all have started
        auth = M2MAuth(endpoint, "client", "secret", cache=f"disk:{folder}")
        with requests.Session() as session:
            session.trust_env = False
            os.write(1, b"%d " % session.get(api, auth=auth).status_code)
        os._exit(0)
os.close(held_open)
for _ in range(10):
    os.wait()
"""


@pytest.mark.processes
def test_ten_workers_that_start_in_a_blip_all_come_up(tmp_path: Path) -> None:
    """Ten workers of one rollout start while the server is away for a moment: each comes up, with one token."""
    end: list[float] = []

    def token(server: OddServer, asked: Asked) -> Reply:
        if not end:
            end.append(time.monotonic() + 0.2)
        return Reply(b"", 503) if time.monotonic() < end[0] else plain_token(server, asked)

    with odd_server(token) as server:
        command = [sys.executable, "-c", WORKERS, server.token_endpoint, server.api_url, str(tmp_path / "cache")]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60)
    assert done.stdout == "200 " * 10
    assert server.mints == 1
