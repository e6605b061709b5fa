"""A cold start in a bad moment: one refused connection, reset, 502, 503 or 504 is not noticed; an outage fails soon."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from engine_steps import at_once, run_together
from engine_support import OUTAGE, ScriptedServer, SharedMemory, answer, kinds, refusal, settle, source_on

from m2m_auth import MintBudget, TokenEndpointUnavailable, TokenUnavailable
from m2m_auth.events import Event
from m2m_auth.oauth2.transport import TransportError
from m2m_auth.source.token_source import engine_of
from m2m_auth.testing import FakeAuthorizationServer, FakeClock

BLIPS = [OUTAGE, answer(502, {}), answer(503, {}), answer(504, {})]
NO_BLIPS = [
    TransportError("too slow", "timeout"),
    answer(503, {}, {"retry-after": "5"}),
    answer(500, {}),
    answer(429, {}),
    refusal("invalid_client", 401),
    refusal("invalid_scope"),
]


@pytest.mark.parametrize("blip", BLIPS)
@pytest.mark.parametrize("cached", [False, True])
def test_one_blip_is_not_noticed(clock: FakeClock, blip: Any, cached: bool) -> None:
    """urllib3#2893: the pool's connection was reset. The caller gets its token, and no failure is shared or told."""
    server, events = ScriptedServer(), list[Event]()
    server.script = [blip]
    cache = SharedMemory() if cached else None
    source = source_on(server, clock, events, cache=cache, budget=MintBudget(per_month=5))
    assert source.token().value == server.minted[0]
    assert len(server.requests) == 2
    assert 0.3 <= sum(clock.sleeps) <= 0.6
    assert "renewal_failed" not in kinds(events)
    report = source.status().ledger
    assert (report.mints.day, report.failed.day) == (1, 1)


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_the_second_attempt_is_spread(clock: FakeClock, jitter: float) -> None:
    """A fleet that starts at once does not come back at once."""
    clock.uniform = lambda: jitter
    server = ScriptedServer()
    server.script = [OUTAGE]
    source_on(server, clock).token()
    assert clock.sleeps == [pytest.approx(0.3 + 0.3 * jitter)]


@pytest.mark.parametrize("given", NO_BLIPS)
def test_what_a_second_attempt_does_not_help_fails_at_once(clock: FakeClock, given: Any) -> None:
    """A timeout, a server that says when to come back, a refusal: one attempt, as the schedule has it."""
    server = ScriptedServer()
    server.script = [given]
    source = source_on(server, clock)
    with pytest.raises(TokenUnavailable):
        source.token()
    assert len(server.requests) == 1


def test_a_failure_that_took_long_is_no_blip(clock: FakeClock) -> None:
    """Two slow attempts would outlive the lease."""
    server = ScriptedServer()

    def slow(request: Any) -> Any:
        clock.advance(3)
        return server(request)

    server.script = [OUTAGE]
    with pytest.raises(TokenEndpointUnavailable):
        source_on(server, clock, transport=slow).token()
    assert len(server.requests) == 1


def test_a_held_token_makes_no_second_attempt(clock: FakeClock) -> None:
    """A renewal in the background has time: it follows the schedule. So does renew()."""
    server = ScriptedServer(100)
    source = source_on(server, clock)
    source.token()
    server.script = [OUTAGE, OUTAGE]
    with pytest.raises(TokenEndpointUnavailable):
        source.renew()
    clock.advance(80)
    source.token()
    settle(source)
    assert len(server.requests) == 3


def test_a_refused_token_and_an_expired_one_are_no_token(clock: FakeClock) -> None:
    """The flight after a 401, and the one after the end of a token's life, try twice as well."""
    server = ScriptedServer(100)
    source = source_on(server, clock)
    engine_of(source).reject(source.token())
    server.script = [OUTAGE]
    assert source.token().value == server.minted[1]
    clock.advance(101)
    server.script = [OUTAGE]
    assert source.token().value == server.minted[2]


def test_an_outage_costs_two_requests_then_one_at_each_attempt(clock: FakeClock) -> None:
    """Steady calls in an outage cause only the scheduled attempts."""
    server = ScriptedServer()
    server.down = OUTAGE
    source = source_on(server, clock)
    for _ in range(20):
        with pytest.raises(TokenEndpointUnavailable):
            source.token()
    assert len(server.requests) == 2
    clock.advance(1.1)
    with pytest.raises(TokenEndpointUnavailable):
        source.token()
    assert len(server.requests) == 3
    assert source.status().ledger.failed.day == 3


def test_sixteen_threads_share_the_two_attempts(clock: FakeClock) -> None:
    """One flight, whatever the number of callers."""
    server = ScriptedServer()
    server.script = [OUTAGE]
    source = source_on(server, clock)
    assert len(set(at_once(16, source.token))) == 1
    assert len(server.requests) == 2


@pytest.mark.loopback
def test_an_outage_fails_within_five_seconds() -> None:
    """Connections refused on a real port, with the real clock: not after max_wait."""
    with FakeAuthorizationServer() as server:
        endpoint = server.token_endpoint
    from m2m_auth import TokenSource

    began = time.monotonic()
    with pytest.raises(TokenEndpointUnavailable) as caught:
        TokenSource(endpoint, "client", "secret").token()
    assert caught.value.cause_code == "connection"
    assert time.monotonic() - began < 5


WORKER = """
import sys
from m2m_auth import TokenSource
source = TokenSource(sys.argv[1], "client", "secret", cache="disk:" + sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
print(source.token().fingerprint)
"""


@pytest.mark.loopback
@pytest.mark.processes
def test_ten_workers_that_start_in_that_moment_all_come_up(server: FakeAuthorizationServer, tmp_path: Path) -> None:
    """gunicorn with ten workers starts while the server restarts: no worker sees an error, and one token is minted."""
    server.fail("reset", times=1)
    printed = run_together(WORKER, 10, server.token_endpoint, tmp_path / "cache")
    assert len(set(printed)) == 1
    assert server.token_requests == 2
