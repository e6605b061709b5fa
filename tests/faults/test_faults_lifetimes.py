"""Six processes on one disk cache through four token lifetimes of four seconds: one mint each."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
from fault_fleet import Fleet

from m2m_auth import RenewalPolicy
from m2m_auth.testing import FakeAuthorizationServer

pytestmark = pytest.mark.processes

LIFETIME = 4.0


@pytest.mark.slow
def test_one_mint_per_lifetime(server: FakeAuthorizationServer, folder: Path) -> None:
    """No call fails or waits; the mints lie at least ``E-W`` apart; and every process used the same tokens in turn."""
    server.lifetime = LIFETIME
    server.latency = 0.2
    with Fleet(server, folder, 6, 1, RenewalPolicy()) as fleet:
        server.wait_for_token_requests(1)
        start = server.requests[0].time
        server.wait_for_token_requests(5, timeout=5 * LIFETIME)
        time.sleep(max(0.0, start + 4 * LIFETIME - time.time()))
    report = fleet.report
    assert set(report.outcomes) == {"200"}
    assert report.outcomes["200"] > 300
    minted = [request.time for request in server.requests]
    assert min(later - earlier for earlier, later in itertools.pairwise(minted)) >= 0.75 * LIFETIME - 0.05
    assert server.mints == server.token_requests <= 6
    generations = max(report.tokens, key=len)
    assert server.mints - len(generations) in {0, 1}  # the last may have come as the fleet stopped
    for tokens in report.tokens:
        assert tokens == generations[: len(tokens)]
