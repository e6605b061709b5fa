"""A token that the server gives and that may not be used: a configuration error, and a mint."""

from __future__ import annotations

from typing import Any

import pytest
from engine_support import ScriptedServer, SharedMemory, settle, source_on

from m2m_auth import MintBudget, RenewalPolicy, TokenUnavailable
from m2m_auth.testing import FakeClock

UNUSABLE = [
    pytest.param({"token_type": "DPoP"}, {}, "malformed_response", id="DPoP"),
    pytest.param({"token_type": "mac"}, {}, "malformed_response", id="mac"),
    pytest.param(
        {"scope": "a"}, {"scope": "a b", "policy": RenewalPolicy(require_scope=True)}, "scope_narrowed", id="scope"
    ),
]


@pytest.fixture
def clock() -> FakeClock:
    """A fake clock."""
    return FakeClock()


@pytest.mark.parametrize(("extra", "options", "cause"), UNUSABLE)
@pytest.mark.parametrize("shared", [False, True])
def test_an_hour_of_unusable_tokens_costs_a_handful(
    clock: FakeClock, extra: dict[str, Any], options: dict[str, Any], cause: str, shared: bool
) -> None:
    """60 s, doubling to 1 h: 585 mints an hour were measured before, past a budget of 100."""
    server = ScriptedServer()
    server.extra = extra
    source = source_on(server, clock, cache=SharedMemory() if shared else None, **options)
    for _ in range(3600):
        with pytest.raises(TokenUnavailable) as caught:
            source.token()
        assert caught.value.cause_code == cause
        clock.advance(1.0)
    assert len(server.minted) == 6, "at 0, 60, 180, 420, 900 and 1860 s"
    ledger = source.status().ledger
    assert (ledger.mints.month, ledger.failed.month, ledger.reasons["cold"]) == (6, 0, 6)
    assert source.status().mints == 6


@pytest.mark.parametrize(("extra", "options", "cause"), UNUSABLE)
def test_the_budget_holds(clock: FakeClock, extra: dict[str, Any], options: dict[str, Any], cause: str) -> None:
    """Each one counts, so that restarts in a row stop at the budget."""
    server, base = ScriptedServer(), SharedMemory()
    server.extra = extra
    for _ in range(10):
        source = source_on(
            server,
            clock,
            client_id=f"budget-{cause}-{id(base)}",
            cache=SharedMemory(base),
            budget=MintBudget(per_month=3),
            **options,
        )
        with pytest.raises(TokenUnavailable):
            source.token()
        clock.advance(4000)
    assert len(server.minted) == 3
    with pytest.raises(TokenUnavailable) as caught:
        source.token()
    assert caught.value.cause_code == "budget_exhausted"


def test_a_held_token_is_served_on(clock: FakeClock) -> None:
    """A server whose configuration has changed: the good token lives to its end, and a good one ends the failure."""
    server = ScriptedServer(lifetime=1000)
    source = source_on(server, clock)
    first = source.token()
    server.extra = {"token_type": "DPoP"}
    clock.advance(900)
    assert source.token() is first
    settle(source)
    assert len(server.minted) == 2
    server.extra = {}
    clock.advance(61)
    source.token()
    settle(source)
    assert source.token().value == server.minted[2]


def test_a_200_without_a_token_is_an_outage_still(clock: FakeClock) -> None:
    """A login page may have answered: it is no mint, and is asked again soon."""
    server = ScriptedServer()
    from m2m_auth.oauth2.transport import HttpResponse

    server.script = [HttpResponse(200, {"content-type": "text/html"}, b"<html>")]
    source = source_on(server, clock)
    with pytest.raises(TokenUnavailable) as caught:
        source.token()
    assert (caught.value.retry_after or 0) <= 1.0
    assert source.status().ledger.mints.month == 0
    clock.advance(1.1)
    assert source.token().value == server.minted[0]
