"""``watch_calls`` shows every call that carried a token, and the events of getting that token."""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import quote

from callers import Caller

from m2m_auth.events import Event
from m2m_auth.http.calls import Call, watch_calls
from m2m_auth.runtime.observers import observers
from m2m_auth.testing import FakeAuthorizationServer, FakeClock


def calls_in(seen: list[Any]) -> list[Call]:
    """The calls among what the watcher saw."""
    return [each for each in seen if isinstance(each, Call)]


def test_a_call_and_what_its_token_cost(caller: Caller, server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """The first call's token is minted, the second's is held; each is shown with the token's fingerprint and age."""
    auth = caller.auth(server, clock, alias="things", audience="https://api.example")
    caller.attach(auth)
    seen: list[Any] = []
    with watch_calls(seen.append):
        caller.get(f"{server.base_url}/api/things?key=s3cret#part")
        clock.advance(60)
        caller.post(f"{server.base_url}/api/things", content=b"x")
    first, second = calls_in(seen)
    token = auth.source.token()
    for call, method, age in ((first, "GET", 0.0), (second, "POST", 60.0)):
        assert (call.method, call.url, call.status) == (method, f"{server.base_url}/api/things", 200)
        assert (call.fingerprint, call.age, call.again) == (token.fingerprint, age, False)
        assert (call.alias, call.client_id, call.audience) == ("things", "client", "https://api.example")
        assert 0 < call.seconds < 60
    (minted,) = [each for each in seen if isinstance(each, Event) and each.kind == "minted"]
    assert (minted.fingerprint, minted.alias) == (token.fingerprint, "things")
    assert seen.index(minted) < seen.index(first)
    assert token.value not in repr(seen)
    assert "s3cret" not in repr(seen)


def test_a_refused_token_makes_two_calls(caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any) -> None:
    """The 401 with the old token, the mint, and the second try with the new one, each with its own time."""
    seen: list[Any] = []
    old = auth.source.token().fingerprint
    server.revoke_all()
    with watch_calls(seen.append):
        caller.get(api)
    new = auth.source.token().fingerprint
    first, second = calls_in(seen)
    assert (first.status, first.fingerprint, first.again) == (401, old, False)
    assert (second.status, second.fingerprint, second.again) == (200, new, True)
    assert second.seconds > 0
    assert [each.kind for each in seen if isinstance(each, Event) and each.kind in ("rejected", "minted")] == [
        "rejected",
        "minted",
    ]


def test_a_login_in_a_url_is_not_shown(caller: Caller, server: FakeAuthorizationServer, auth: Any) -> None:
    """The URL is shown without name and password."""
    seen: list[Any] = []
    with watch_calls(seen.append):
        caller.get(server.base_url.replace("://", "://ada:pw@") + "/api/x")
    assert [call.url for call in calls_in(seen)] == [f"{server.base_url}/api/x"]


def test_a_redirect_to_another_origin_carried_no_token(
    caller: Caller, server: FakeAuthorizationServer, elsewhere: FakeAuthorizationServer, auth: Any
) -> None:
    """Only requests that carried the token are shown, a redirect within the API among them."""
    seen: list[Any] = []
    away, back = quote(f"{elsewhere.base_url}/api/x", safe=""), quote(f"{server.base_url}/api/y", safe="")
    with watch_calls(seen.append):
        caller.get(f"{server.base_url}/api/redirect?code=302&to={away}")
        caller.get(f"{server.base_url}/api/redirect?code=302&to={back}")
    assert [call.path for call in elsewhere.api_calls] == ["/api/x"]
    paths = [call.url.removeprefix(server.base_url) for call in calls_in(seen)]
    assert paths == ["/api/redirect", "/api/redirect", "/api/y"]


def test_only_this_context_and_only_while_it_watches(caller: Caller, api: str, auth: Any) -> None:
    """Neither another thread's call nor a later one is shown; a watcher that raises breaks no call."""
    seen: list[Any] = []

    def watch(what: Any) -> None:
        seen.append(what)
        raise RuntimeError

    with watch_calls(watch):
        other = threading.Thread(target=caller.get, args=(api,))
        other.start()
        other.join()
        assert calls_in(seen) == []
        assert caller.get(api).status == 200
    caller.get(api)
    assert len(calls_in(seen)) == 1
    assert observers == []
