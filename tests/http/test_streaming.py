"""The auth reads no response's body, neither of a good one nor of a refused one."""

from __future__ import annotations

from typing import Any

import pytest
from callers import Caller
from wire import Wire, reply

from m2m_auth.testing import FakeAuthorizationServer, FakeClock


def test_an_endless_answer_arrives_at_once(caller: Caller, server: FakeAuthorizationServer, auth: Any) -> None:
    """The auth does not read a streamed body without an end."""
    assert caller.stream(server.base_url + "/api/stream").status == 200
    assert caller.get(server.base_url + "/api/things").status == 200
    assert server.mints == 1


def test_a_streamed_answer_is_whole(caller: Caller, server: FakeAuthorizationServer, auth: Any) -> None:
    """Also after a replay, the caller gets every byte of a streamed body."""
    server.revoke_all()
    answer = caller.stream(server.base_url + "/api/stream?chunks=5&size=1000&interval_ms=0", read=True)
    assert (answer.status, answer.statuses, answer.body) == (200, [401], b"." * 5000)


def test_an_endless_401_is_closed_unread(caller: Caller, server: FakeAuthorizationServer, auth: Any) -> None:
    """A refused token's 401 has a body that never ends; the replay does not wait for it."""
    server.revoke_all()
    answer = caller.stream(server.base_url + "/api/stream")
    assert (answer.status, answer.statuses) == (200, [401])
    assert server.mints == 2


@pytest.mark.parametrize("coding", ["identity", "gzip", "deflate", "br", "zstd"])
def test_a_401_that_holds_its_body_back(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, coding: str
) -> None:
    """A call without streaming does not wait for the rest of a refused answer either, and does not decode it."""
    auth = caller.auth(server, clock)
    auth.source.token()
    clock.advance(60)
    half = reply(401, b"not the half of it", f"Content-Encoding: {coding}", length=1000)
    with Wire([half, reply(200, b"good")]) as api:
        answer = caller.get(api.base_url, auth=auth)
        assert len(api.heads) == 2
    assert (answer.status, answer.statuses, answer.body) == (200, [401], b"good")
    assert server.mints == 2


def test_a_401_that_is_not_replayed_is_untouched(caller: Caller, server: FakeAuthorizationServer, auth: Any) -> None:
    """A 401 for lack of scope reaches the caller open, with its body still to be read."""
    server.challenge = 'Bearer error="insufficient_scope"'
    server.revoke_all()
    answer = caller.stream(server.base_url + "/api/stream?chunks=3&size=10&interval_ms=0", read=True)
    assert (answer.status, answer.statuses, answer.body) == (401, [], b"." * 30)
    assert caller.stream(server.base_url + "/api/stream").status == 401
    assert server.mints == 1
