"""An authorization server that hangs, resets, truncates and answers nonsense, while 4 processes call all the time."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
from fault_fleet import Fleet
from fault_processes import EARLY, QUICK

from m2m_auth.testing import FailureMode, FakeAuthorizationServer
from m2m_auth.values import replace

pytestmark = pytest.mark.processes

MODES: tuple[FailureMode, ...] = ("reset", "truncated", "500", "not_json", "hang", "empty", "huge")


def test_a_held_token_is_served_through_every_failure(server: FakeAuthorizationServer, folder: Path) -> None:
    """Seven ways to fail, one after the other: one attempt each, a backoff apart, for the fleet; no failed call."""
    server.lifetime = 16
    policy = replace(EARLY, mint_deadline=1.0)
    with Fleet(server, folder, 4, 4, policy) as fleet:
        while not server.api_calls:  # the first token request has been answered
            time.sleep(0.01)
        server.lifetime = 800  # the next token is not due again before the test is over
        for mode in MODES:
            server.fail(mode, times=1)
        server.wait_for_token_requests(2 + len(MODES), timeout=30)
        _wait_until_the_first_token_is_gone(server)
    report = fleet.report
    assert set(report.outcomes) == {"200"}
    assert report.outcomes["200"] > 300
    assert report.longest < 1
    assert server.token_requests == 2 + len(MODES)
    attempts = [request.time for request in server.requests[1:]]
    assert min(later - earlier for earlier, later in itertools.pairwise(attempts)) > 0.45
    assert {tuple(tokens) for tokens in report.tokens} == {tuple(fleet.report.tokens[0])}


def _wait_until_the_first_token_is_gone(server: FakeAuthorizationServer) -> None:
    """Processes read the cache every 250 ms. A busy machine may keep one of them waiting for longer."""
    until = time.monotonic() + 20
    first, seen, quiet_since = server.api_calls[0].token, 0, time.monotonic()
    while time.monotonic() - quiet_since < 2:
        assert time.monotonic() < until, "a process keeps the first token"
        calls = server.api_calls[seen:]
        seen += len(calls)
        if not calls or any(call.token == first for call in calls):
            quiet_since = time.monotonic()
        time.sleep(0.05)


@pytest.mark.parametrize("mode", ["hang", "reset"])
def test_without_a_token_calls_fail_fast_and_recover(
    server: FakeAuthorizationServer, folder: Path, mode: FailureMode
) -> None:
    """It fails from the start: calls fail by the shared record, attempts keep a distance; then the server recovers."""
    policy = replace(QUICK, mint_deadline=1.0)
    server.fail(mode)
    with Fleet(server, folder, 4, 4, policy) as fleet:
        server.wait_for_token_requests(2 if mode == "hang" else 3)  # after a second timeout there is a longer pause
        server.recover()
        calls = len(server.api_calls)
        until = time.monotonic() + 10
        while len(server.api_calls) < calls + 64:
            assert time.monotonic() < until, "it did not recover"
            time.sleep(0.02)
    report = fleet.report
    causes = {outcome for outcome in report.outcomes if outcome.startswith("no token")}
    assert set(report.outcomes) == {"200", *causes}
    assert len(causes) >= 1
    blips = 1 if mode == "reset" else 0  # the first flight tries once more, 0.3 to 0.6 s later
    assert server.token_requests <= 4 + blips  # those that hang are answered as it recovers
    attempts = [request.time for request in server.requests][blips:]
    assert min(later - earlier for earlier, later in itertools.pairwise(attempts)) > 0.45
    assert len({token for tokens in report.tokens for token in tokens}) == 1
