"""A prepared request of requests, kept and sent again: its header is then that of an old token."""

from __future__ import annotations

from typing import Any

import pytest
from callers import Caller, clients

from m2m_auth.testing import FakeAuthorizationServer, FakeClock

pytestmark = [pytest.mark.loopback]


@clients("requests")
@pytest.mark.parametrize("busy", [True, False], ids=["other calls in between", "idle"])
def test_sent_again_after_three_lifetimes(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, api: str, auth: Any, busy: bool
) -> None:
    """The API refuses the old token; the source knows it from before, so the current one is sent."""
    prepared = caller.client.prepare_request(caller.library.Request("POST", api, data=b"order"))
    assert caller.client.send(prepared).status_code == 200
    for _ in range(3):
        clock.advance(3600)
        if busy:
            assert caller.get(api).status == 200
    mints = server.mints
    answer = caller.client.send(prepared)
    assert (answer.status_code, [each.status_code for each in answer.history]) == (200, [401])
    assert answer.request.body == b"order"
    assert server.mints == (mints if busy else mints + 1)


@clients("requests")
def test_an_old_token_does_not_reject_the_held_one(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, api: str, auth: Any
) -> None:
    """The refused one is the old one: nothing is minted, and other calls notice nothing."""
    prepared = caller.client.prepare_request(caller.library.Request("GET", api))
    auth.source.renew()
    server.revoke_all()
    clock.advance(60)
    auth.source.renew()
    held, mints = auth.source.token(), server.mints
    assert caller.client.send(prepared).status_code == 200
    assert (auth.source.token(), server.mints) == (held, mints)
