"""A mint that takes longer than its lease: another process mints meanwhile, and the late one spoils nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from engine_steps import ClockedStore
from engine_support import ScriptedServer, source_on

from m2m_auth import TokenSource
from m2m_auth.oauth2.transport import HttpRequest, HttpResponse
from m2m_auth.testing import FakeClock

LONGER_THAN_A_LEASE = 16


class Fleet:
    """Processes on one cache, whose token requests can be interrupted."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.server, self.store = clock, ScriptedServer(), ClockedStore(clock.monotonic)

    def process(self, during_its_mint: Callable[[], object] = lambda: None) -> TokenSource:
        """A source with a token state of its own."""

        def transport(request: HttpRequest) -> HttpResponse:
            answer = self.server(request)
            during_its_mint()
            return answer

        return source_on(
            self.server, self.clock, client_id=f"late-{id(self)}", cache=self.store.beside(), transport=transport
        )


def test_a_late_holder_keeps_the_later_token(clock: FakeClock) -> None:
    """It does not share its own token, which ends earlier than the shared one, but uses it: it is good."""
    fleet = Fleet(clock)
    later: list[str] = []

    def another_mints() -> None:
        clock.advance(LONGER_THAN_A_LEASE)
        later.append(fleet.process().token().value)

    late = fleet.process(another_mints).token()
    assert [late.value, *later] == fleet.server.minted
    assert fleet.process().token().value == later[0]
    assert len(fleet.server.minted) == 2


def test_a_late_holder_leaves_the_lease_of_its_successor(clock: FakeClock) -> None:
    """It lands while the successor still mints: the lease stays until the successor releases it."""
    fleet = Fleet(clock)
    minting, landed = threading.Event(), threading.Event()
    leases: list[tuple[bytes, float]] = []

    def wait() -> None:
        minting.set()
        assert landed.wait(20)

    successor = fleet.process(wait)
    with ThreadPoolExecutor(1) as pool:

        def another_begins() -> None:
            clock.advance(LONGER_THAN_A_LEASE)
            pool.submit(successor.token)
            assert minting.wait(20)
            leases.extend(fleet.store.entries[key] for key in fleet.store.keys("l"))

        try:
            fleet.process(another_begins).token()
            assert len(leases) == 1
            assert [fleet.store.entries[key] for key in fleet.store.keys("l")] == leases
        finally:
            landed.set()
    assert not fleet.store.keys("l")
