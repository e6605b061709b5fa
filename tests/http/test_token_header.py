"""``header=`` and ``scheme=``: where a token stands in a request, and that it goes to its own origin only."""

from __future__ import annotations

from typing import Any

import pytest
from callers import CALLERS, SYNC, Caller, clients
from scripted_api import Answering, Received, scripted_api

from m2m_auth import ConfigurationError
from m2m_auth.http.httpx_token_headers import dropped_with_authorization
from m2m_auth.testing import FakeAuthorizationServer, FakeClock

pytestmark = pytest.mark.loopback


def good(_: Received) -> tuple[int, list[tuple[str, str]], bytes]:
    """200 for all."""
    return 200, [], b"{}"


def to(location: str, status: int = 307) -> Answering:
    """A redirect from /from, 200 elsewhere."""
    return lambda request: (status, [("Location", location)], b"") if request.path == "/from" else good(request)


@pytest.mark.parametrize(
    ("options", "name", "before"),
    [
        ({"scheme": "Token"}, "Authorization", "Token "),
        ({"scheme": ""}, "Authorization", ""),
        ({"scheme": None}, "Authorization", ""),
        ({"header": "authorization"}, "Authorization", "Bearer "),
        ({"header": "X-Api-Token"}, "X-Api-Token", "Bearer "),
        ({"header": "X-Api-Token", "scheme": None}, "X-Api-Token", ""),
        ({"header": "X-Api-Token", "scheme": "Token"}, "X-Api-Token", "Token "),
    ],
)
def test_the_token_stands_where_the_api_wants_it(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, options: dict[str, Any], name: str, before: str
) -> None:
    """In that header, after that word; a refused one is found there, replaced and sent again."""
    auth = caller.auth(server, clock, **options)
    first = auth.source.token().value
    clock.advance(60)

    def answer(request: Received) -> tuple[int, list[tuple[str, str]], bytes]:
        return (401 if request.headers.get(name) == before + first else 200), [], b""

    with scripted_api(answer) as api:
        for expected in ([401], []):
            answered = caller.get(api.base_url + "/", auth=auth)
            assert (answered.status, answered.statuses) == (200, expected)
        second = auth.source.token().value
        assert api.sent(name) == [before + each for each in (first, second, second)]
    assert server.mints == 2


def test_the_users_own_authorization_is_left_alone(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock
) -> None:
    """With header= another one, both are sent; a replay keeps the user's."""
    auth = caller.auth(server, clock, header="X-Api-Token", scheme="")
    first = auth.source.token().value
    clock.advance(60)

    def answer(request: Received) -> tuple[int, list[tuple[str, str]], bytes]:
        return (401 if request.headers.get("X-Api-Token") == first else 200), [], b""

    with scripted_api(answer) as api:
        assert caller.get(api.base_url + "/", auth=auth, headers={"Authorization": "Basic mine"}).status == 200
        assert api.sent("Authorization") == ["Basic mine"] * 2
        assert api.sent("X-Api-Token") == [first, auth.source.token().value]


@clients(*CALLERS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("name", ["Authorization", "X-Api-Token"])
def test_a_redirect_to_another_origin_gets_no_token(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, status: int, name: str
) -> None:
    """The libraries drop Authorization there, and no other header: this one is dropped as well."""
    auth = caller.auth(server, clock, header=name)
    with scripted_api(good) as foreign, scripted_api(to(foreign.base_url + "/trap", status)) as api:
        answered = caller.get(api.base_url + "/from", auth=auth)
        assert (answered.status, answered.statuses) == (200, [status])
        assert api.sent(name) == [f"Bearer {auth.source.token().value}"]
        assert foreign.paths() == ["/trap"]
        assert foreign.sent(name) == [None]
        assert auth.source.token().value not in str(foreign.requests[0].headers)


@pytest.mark.parametrize("location", ["/to", "to", "?to", "//{host}/to", "http://{host}/to"])
def test_a_redirect_within_the_origin_keeps_it(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, location: str
) -> None:
    """However the location is spelt."""
    auth = caller.auth(server, clock, header="X-Api-Token", scheme="Token")

    def answer(request: Received) -> tuple[int, list[tuple[str, str]], bytes]:
        return to(location.format(host=request.headers["Host"]))(request)

    with scripted_api(answer) as api:
        assert caller.get(api.base_url + "/from", auth=auth).statuses == [307]
        assert api.sent("X-Api-Token") == [f"Token {auth.source.token().value}"] * 2


@pytest.mark.parametrize(
    "spelling", ["http:\\\\{foreign}/", "http://{api}\\@{foreign}/", "//{foreign}/", "http://{api}@{foreign}/"]
)
def test_a_hostile_redirect_gets_no_token(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, spelling: str
) -> None:
    """Locations that two parsers may read differently; some libraries refuse them, which is fine."""
    auth = caller.auth(server, clock, header="X-Api-Token")
    with scripted_api(good) as foreign:

        def answer(request: Received) -> tuple[int, list[tuple[str, str]], bytes]:
            target = foreign.base_url.removeprefix("http://")
            return to(spelling.format(foreign=target, api=request.headers["Host"]))(request)

        with scripted_api(answer) as api:
            try:
                caller.get(api.base_url + "/from", auth=auth)
            except (caller.error, getattr(caller.library, "InvalidURL", ValueError)):
                assert foreign.requests == []
            assert set(foreign.sent("X-Api-Token")) <= {None}


def test_a_replay_that_is_redirected_away(caller: Caller, server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """The first token is refused, and the answer to the replay leads to another host: neither token goes there."""
    auth = caller.auth(server, clock, header="X-Api-Token")
    first = auth.source.token().value
    clock.advance(60)
    with scripted_api(good) as foreign:

        def answer(request: Received) -> tuple[int, list[tuple[str, str]], bytes]:
            refused = (request.headers.get("X-Api-Token") or "").endswith(first)
            return (401, [], b"") if refused else to(foreign.base_url + "/trap")(request)

        with scripted_api(answer) as api:
            assert caller.get(api.base_url + "/from", auth=auth).status == 200
            assert len(api.requests) == 2
        assert foreign.sent("X-Api-Token") == [None]


@clients(*SYNC)
def test_a_library_that_would_not_drop_the_header_is_refused(caller: Caller) -> None:
    """httpx and httpx2 are asked each time; a release that files headers in another way sends no token."""
    if caller.library.__name__ == "requests":
        pytest.skip("requests is told by its response hook")

    class Keeping(caller.library.Headers):  # type: ignore[misc, name-defined]
        """Drops nothing."""

        def pop(self, *_: Any) -> None:
            """Keeps it."""

    with pytest.raises(ConfigurationError, match="would go along with redirects"):
        dropped_with_authorization(Keeping, caller.library.Headers(), "X-Api-Token", "value")


@clients("requests")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"header": "X Api"}, "header='X Api' has characters"),
        ({"header": "X-Api:"}, "header='X-Api:' has characters"),
        ({"header": "X-Api\r\nEvil: 1"}, "header='X-Api\\r\\nEvil: 1' has characters"),
        ({"header": "X-Äpi"}, "has characters"),
        ({"header": ""}, "header='' is empty. Fix: a name such as 'X-Api-Token', or leave it out"),
        ({"header": " X-Api"}, "header=' X-Api' begins or ends with white space. Fix: 'X-Api'"),
        ({"header": None}, "header must be a string, not NoneType. Fix: header='X-Api-Token'"),
        ({"header": b"X-Api"}, "header must be a string, not bytes"),
        ({"header": "Host"}, "header='Host' has another meaning"),
        ({"header": "cookie"}, "header='cookie' has another meaning"),
        ({"scheme": "Bearer "}, "scheme='Bearer ' begins or ends with white space. Fix: 'Bearer'"),
        ({"scheme": "Token\n"}, "begins or ends with white space"),
        ({"scheme": "To\x00ken"}, "has characters"),
        ({"scheme": "Token token"}, "has characters"),
        ({"scheme": 5}, "scheme must be a string, not int. Fix: scheme='Token'"),
    ],
)
def test_a_name_that_no_header_has(
    caller: Caller, server: FakeAuthorizationServer, options: dict[str, Any], words: str
) -> None:
    """Refused when it is configured, in both constructors; the message has the option and the fix."""
    good_auth = caller.auth(server)
    for build in (
        lambda: caller.auth(server, **options),
        lambda: type(good_auth).from_source(good_auth.source, **options),
    ):
        with pytest.raises(ConfigurationError) as caught:
            build()
        assert words in str(caught.value)
        assert "Fix: " in str(caught.value)
