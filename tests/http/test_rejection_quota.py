"""An API that refuses every token does not use up the quota; and what hooks and clients see of a replay."""

from __future__ import annotations

from typing import Any

import pytest
from callers import Caller, clients

from m2m_auth.testing import FakeAuthorizationServer, FakeClock

pytestmark = pytest.mark.loopback


def test_an_api_that_always_says_401_does_not_use_up_the_quota(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, api: str, auth: Any
) -> None:
    """100 calls in a minute of refusals cost one forced mint; each call gets its 401."""
    server.accept_tokens = "none"
    for _ in range(100):
        assert caller.get(api).status == 401
        clock.advance(0.5)
    assert server.mints == 2
    assert len(server.api_calls) == 101


@clients("requests")
def test_the_ban_on_forced_mints_doubles(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, api: str, auth: Any
) -> None:
    """An hour of refusals, a call every 10 s: the ban of 60 s doubles, so 8 mints and not 360."""
    server.accept_tokens = "none"
    server.lifetime = 86400
    for _ in range(360):
        caller.get(api)
        clock.advance(10)
    assert 7 <= server.mints <= 8


def test_a_young_token_is_replaced_too(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, api: str
) -> None:
    """A token that is revoked within its first second costs one mint and no refused call; it was a minute of them."""
    caller.attach(caller.auth(server, clock))
    assert caller.get(api).status == 200
    clock.advance(0.5)
    server.revoke_all()
    assert [caller.get(api).status for _ in range(3)] == [200] * 3
    assert server.mints == 2


def test_response_hooks_see_what_their_library_shows_them(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any
) -> None:
    """requests' hooks run after the auth and see only the 200; httpx's event hooks see each response, in order."""
    seen: list[int] = []
    caller.on_response(lambda response: seen.append(response.status_code))
    server.revoke_all()
    assert caller.get(api).status == 200
    assert seen == ([200] if caller.library.__name__ == "requests" else [401, 200])


def test_a_hook_that_raises_for_statuses(caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any) -> None:
    """requests replays before such a hook runs; httpx raises before the auth sees the 401; the next call is good."""
    caller.on_response(lambda response: response.raise_for_status())
    server.revoke_all()
    if caller.library.__name__ != "requests":
        with pytest.raises(caller.library.HTTPStatusError):
            caller.get(api)
        assert (server.mints, len(server.api_calls)) == (1, 1)
    assert caller.get(api).status == 200
    assert server.mints == 2
    server.accept_tokens = "none"
    for _ in range(5):
        with pytest.raises(caller.error):
            caller.get(api)
    assert server.mints == 3  # the second token was accepted, so its refusal is a first one again


def test_connections_are_reused_around_a_refusal(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any
) -> None:
    """After a replay the same client makes 20 more calls: all good, no further mint, one 401 in total."""
    server.revoke_all()
    assert [caller.get(api).status for _ in range(21)] == [200] * 21
    assert [call.status for call in server.api_calls].count(401) == 1
    assert server.mints == 2


@clients("httpx", "httpx2")
def test_request_hooks_find_the_content_of_a_replay(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any
) -> None:
    """httpx's request hooks may read ``request.content``, of a replay as of any request."""
    seen: list[bytes] = []
    caller.client.event_hooks = {"request": [lambda request: seen.append(request.content)]}
    server.revoke_all()
    assert caller.post(api, content=b"order").status == 200
    assert seen == [b"order"] * 2


@clients("requests")
def test_a_replay_has_the_options_of_its_call(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any
) -> None:
    """Timeout, verify, certificate, proxies and stream of the call are those of the replay, too."""
    seen: list[dict[str, Any]] = []

    class Recording(caller.library.adapters.HTTPAdapter):  # type: ignore[name-defined, misc]
        """Records the options."""

        def send(self, request: Any, **options: Any) -> Any:
            """Sends the request."""
            seen.append(options)
            return super().send(request, **options)

    caller.client.mount("http://", Recording())
    server.revoke_all()
    assert caller.get(api, verify=False, stream=True).status == 200
    assert seen[0] == seen[1]
    assert (seen[0]["verify"], seen[0]["stream"], bool(seen[0]["timeout"])) == (False, True, True)
