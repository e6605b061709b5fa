"""When a response refuses a token (RFC 6750 §3), and what happens then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from callers import SYNC, Caller, clients

from m2m_auth import RenewalPolicy
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.oauth2.challenges import bearer_rejection
from m2m_auth.source.token_source import engine_of
from m2m_auth.testing import FakeAuthorizationServer, FakeClock

pytestmark = pytest.mark.loopback


@clients(*SYNC)
@pytest.mark.parametrize(
    "challenge",
    [
        None,
        'Bearer error="invalid_token"',
        ["Basic realm=x", 'Bearer realm="x"'],
        ["Token", "JWT realm=x"],
    ],
    ids=str,
)
def test_challenges_that_force_a_mint(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any, challenge: str | Sequence[str] | None
) -> None:
    """No challenge, a Bearer one, or those of other schemes (django-rest-framework#4680)."""
    server.challenge = challenge
    server.revoke_all()
    assert caller.get(api).status == 200
    assert server.mints == 2


@pytest.mark.parametrize(
    ("status", "challenge"),
    [
        (401, 'Bearer error="insufficient_scope"'),
        (401, ["Basic realm=x", 'Bearer error="invalid_request"']),
        (403, 'Bearer error="invalid_token"'),
    ],
    ids=str,
)
def test_answers_that_force_no_mint(
    caller: Caller,
    server: FakeAuthorizationServer,
    api: str,
    auth: Any,
    status: int,
    challenge: str | Sequence[str] | None,
) -> None:
    """Another token would not help: the caller gets the answer, and nothing is minted or replayed."""
    server.api_status = status
    if challenge is not None and status != 401:
        server.api_headers = {"WWW-Authenticate": str(challenge)}
    server.challenge = challenge
    for _ in range(3):
        answer = caller.get(api)
        assert (answer.status, answer.statuses) == (status, [])
    assert (server.mints, len(server.api_calls)) == (1, 3)


def test_the_users_rule_replaces_the_default(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, api: str
) -> None:
    """is_rejection= gets status and headers: in this test a 403 refuses the token and a 401 does not."""
    seen: list[tuple[int, str | None]] = []

    def refused(status: int, headers: Any) -> bool:
        seen.append((status, headers.get("www-authenticate")))
        return status == 403

    auth = caller.auth(server, clock, is_rejection=refused)
    caller.attach(auth)
    caller.get(api)
    clock.advance(60)
    server.api_status = 401
    assert caller.get(api).status == 401
    server.api_status = 403
    assert caller.get(api).statuses == [403]
    assert server.mints == 2
    assert seen == [(200, None), (401, server.challenge), (403, None), (403, None)]


def test_a_token_replaced_meanwhile_is_used_without_a_mint(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, api: str
) -> None:
    """If the token was renewed during the call, the replay carries the new one, without another mint."""

    def renewed_meanwhile(status: int, headers: Mapping[str, str]) -> bool:
        if status == 401:
            auth.source.renew()
        return bearer_rejection(status, headers)

    auth = caller.auth(server, clock, is_rejection=renewed_meanwhile)
    auth.source.token()
    clock.advance(60)
    server.revoke_all()
    answer = caller.get(api, auth=auth)
    assert (answer.status, answer.statuses) == (200, [401])
    assert server.mints == 2


def test_two_states_on_one_cache_mint_once_for_one_refusal(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, api: str
) -> None:
    """Two token states on one cache, like two processes: after its 401 the second finds the first one's token."""
    cache = MemoryTokenCache()
    one = caller.auth(server, clock, cache=cache)
    # Another policy makes another token state, as another process would have; the key is the same.
    two = caller.auth(server, clock, cache=cache, policy=RenewalPolicy(max_wait=19.0))
    assert engine_of(one.source).state is not engine_of(two.source).state
    assert one.source.token() == two.source.token()
    clock.advance(60)
    server.revoke_all()
    for auth in (one, two):
        answer = caller.get(api, auth=auth)
        assert (answer.status, answer.statuses) == (200, [401])
    assert server.mints == 2


@pytest.mark.parametrize("status", [401, 500])
def test_the_second_response_is_the_callers(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any, status: int
) -> None:
    """The caller gets the answer to the replay, and nothing is replayed again."""
    server.revoke_all()

    class Then(dict[str, str]):
        """Headers of API answers; handing them out changes the status of the next one."""

        def items(self) -> Any:
            server.api_status = status
            return super().items()

    server.api_headers = Then()
    answer = caller.get(api)
    assert (answer.status, answer.statuses) == (status, [401])
    assert (server.mints, len(server.api_calls)) == (2, 2)


def test_without_a_new_token_the_apis_own_answer_stands(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any
) -> None:
    """If the forced mint fails, the caller gets the 401; the next call is not sent with the refused token."""
    server.revoke_all()
    server.fail("500")
    answer = caller.get(api)
    assert (answer.status, answer.statuses) == (401, [])
    with pytest.raises(caller.error):
        caller.get(api)
    assert len(server.api_calls) == 1
    assert server.token_requests == 2


def test_a_header_of_the_user_says_nothing_about_the_token(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any
) -> None:
    """A 401 for a token that the call did not get from the source rejects no token of the source."""
    answer = caller.get(api, headers={"Authorization": "Bearer mine"}, auth=lambda request: request)
    assert answer.status == 401
    assert caller.get(api).status == 200
    assert (server.mints, [call.token == "mine" for call in server.api_calls]) == (1, [True, False])


def test_an_accepted_replacement_is_reported(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any
) -> None:
    """The API takes the new token at the replay, or only at the next call: its trial is over then."""
    state = engine_of(auth.source).state
    for status in (200, 500):
        server.revoke_all()
        server.api_headers = Then(server, status)
        assert caller.get(api).status == status
        assert state.on_trial is (status == 500)
        server.api_status = None
        assert caller.get(api).status == 200
        assert state.on_trial is False
    assert server.mints == 3


class Then(dict[str, str]):
    """Headers of API answers; handing them out sets the status of the next answer."""

    def __init__(self, server: FakeAuthorizationServer, status: int) -> None:
        super().__init__()
        self._server = server
        self._status = status

    def items(self) -> Any:
        """Called when an answer is sent."""
        self._server.api_headers = {}
        self._server.api_status = self._status
        return super().items()
