"""The replay carries the cookies that the refusing answers have set, beside those that the request had."""

from __future__ import annotations

import pytest
from callers import CALLERS, Caller, clients
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_api import Received, scripted_api

from m2m_auth.http.replay_cookies import cookies_for_replay
from m2m_auth.testing import FakeAuthorizationServer, FakeClock

URL = "https://api.example.com/orders/1"


@pytest.mark.parametrize(
    ("before", "set_cookies", "after"),
    [
        (None, [], None),
        ("a=1", [], "a=1"),
        (None, ["s=2"], "s=2"),
        ("a=1; b=2", ["s=3; Path=/; HttpOnly; SameSite=Lax", "t=4"], "a=1; b=2; s=3; t=4"),
        ("s=old; a=1", ["s=new; Path=/"], "a=1; s=new"),
        ("a=1", ["s=2; Secure", "t=3; Domain=example.com", "u=4; Path=/orders"], "a=1; u=4; s=2; t=3"),
        ("a=1", ["s=2; Path=/admin"], "a=1"),
        ("a=1", ["s=2; Domain=evil.example"], "a=1"),
        ("a=1", ["s=2; Domain=com"], "a=1"),
        ("s=1; a=2", ["s=; Path=/; Max-Age=0"], "a=2"),
        ("s=1; a=2", ["s=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], "a=2"),
        ("s=1", ["s=gone; Path=/; Max-Age=0"], None),
        ("s=1", ["s=; Domain=evil.example; Path=/; Max-Age=0"], "s=1"),
        ("s=1", ["s=; Path=/admin; Max-Age=0"], "s=1"),
        ("a=1", ["s=2; Expires=Wed, 01 Jan 2098 00:00:00 GMT", "t=x y"], "a=1; s=2; t=x y"),
        ("a=1", ["", "=", ";;", "\x00"], "a=1"),
    ],
)
def test_the_cookies_of_a_replay(before: str | None, set_cookies: list[str], after: str | None) -> None:
    """By domain, path, Secure and age, as RFC 6265 has them."""
    found = cookies_for_replay(URL, before, [(URL, set_cookies)])
    assert sorted((found or "").split("; ")) == sorted((after or "").split("; "))


def test_a_secure_cookie_over_plain_http() -> None:
    """It stays behind."""
    url = "http://127.0.0.1:8080/x"
    assert cookies_for_replay(url, "a=1", [(url, ["s=2; Secure", "t=3"])]) == "a=1; t=3"


def test_a_cookie_of_a_page_elsewhere() -> None:
    """After a redirect to another host, its cookies are for that host."""
    answers = [(URL, ["s=1; Path=/"]), ("https://login.example/", ["t=2", "u=3; Domain=example.com"])]
    assert cookies_for_replay(URL, None, answers) == "s=1"


@settings(max_examples=40)
@given(st.text(max_size=40), st.lists(st.text(max_size=40), max_size=3))
def test_any_text_is_read(before: str, set_cookies: list[str]) -> None:
    """A server may send anything; a cookie that was there and is not named stays."""
    found = cookies_for_replay(URL, "kept=1; " + before.replace("kept", ""), [(URL, set_cookies)])
    assert any("kept" in each for each in set_cookies) or "kept=1" in (found or "")


@pytest.mark.loopback
@clients(*CALLERS)
def test_an_api_that_wants_its_cookie_back(caller: Caller, server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """The 401 sets a session cookie, and the replay needs it: with the request's own cookies, in every front door."""
    auth = caller.auth(server, clock)
    first = auth.source.token().value
    clock.advance(60)

    def answer(request: Received) -> tuple[int, list[tuple[str, str]], bytes]:
        cookies = {each.strip() for each in (request.headers.get("Cookie") or "").split(";")}
        if (request.headers.get("Authorization") or "").endswith(first):
            return 401, [("Set-Cookie", "sid=new; Path=/"), ("Set-Cookie", "other=1; Path=/admin")], b""
        return (200 if cookies == {"sid=new", "mine=1"} else 403), [], b""

    caller.client.cookies.set("sid", "old", domain="127.0.0.1", path="/")
    caller.client.cookies.set("mine", "1", domain="127.0.0.1", path="/")
    with scripted_api(answer) as api:
        answered = caller.get(api.base_url + "/orders", auth=auth)
        assert (answered.status, answered.statuses) == (200, [401])
        assert caller.get(api.base_url + "/orders", auth=auth).statuses == []
        assert {*(api.sent("Cookie")[0] or "").split("; ")} == {"sid=old", "mine=1"}
    assert server.mints == 2


@pytest.mark.loopback
def test_a_cookie_header_of_the_users_own(caller: Caller, server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """It stays, with the new cookie beside it."""
    auth = caller.auth(server, clock)
    first = auth.source.token().value
    clock.advance(60)

    def answer(request: Received) -> tuple[int, list[tuple[str, str]], bytes]:
        refused = (request.headers.get("Authorization") or "").endswith(first)
        return (401, [("Set-Cookie", "sid=new")], b"") if refused else (200, [], b"")

    with scripted_api(answer) as api:
        assert caller.get(api.base_url + "/", auth=auth, headers={"Cookie": "by=hand"}).status == 200
        assert api.sent("Cookie") == ["by=hand", "by=hand; sid=new"]
