"""``is_rejection=``: its arity, its body, redirects to a login page, and what happens if it raises."""

from __future__ import annotations

import functools
import gzip
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from callers import CALLERS, SYNC, Caller, clients
from scripted_api import Received, scripted_api

from m2m_auth import ConfigurationError
from m2m_auth.http.rejection_check import RejectionCheck
from m2m_auth.oauth2.transport import MAX_BODY
from m2m_auth.testing import FakeAuthorizationServer, FakeClock

Headers = Mapping[str, str]
MARKETO = b'{"requestId":"e42b#14272d07d78","success":false,"errors":[{"code":"%d","message":"Access token expired"}]}'
"""What Marketo answers with status 200 to a token that has expired (602) or is not valid (601)."""


def two(status: int, headers: Headers) -> bool:
    """By the status."""
    return status == 419


def three(status: int, headers: Headers, body: bytes) -> bool:
    """By the body."""
    return b"refused" in body


class Methods:
    """Predicates as methods."""

    def two(self, status: int, headers: Headers) -> bool:
        """By the status."""
        return two(status, headers)

    def three(self, status: int, headers: Headers, body: bytes) -> bool:
        """By the body."""
        return three(status, headers, body)

    @staticmethod
    def of_the_class(status: int, headers: Headers, body: bytes) -> bool:
        """By the body."""
        return three(status, headers, body)


class Callable3:
    """A callable object."""

    def __call__(self, status: int, headers: Headers, body: bytes) -> bool:
        """By the body."""
        return three(status, headers, body)


def with_option(status: int, headers: Headers, strict: bool = False) -> bool:
    """Its third parameter is not the body."""
    return status == 419 and strict is False


def with_default_body(status: int, headers: Headers, body: bytes = b"") -> bool:
    """Its third parameter is the body."""
    return three(status, headers, body)


def decorated(function: Callable[..., bool]) -> Callable[..., bool]:
    """A decorator that says what it wraps."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> bool:
        return function(*args, **kwargs)

    return wrapper


def starred(*args: Any) -> bool:
    """It does not say what it wants."""
    return bool(args[0] == 419) and len(args) == 2


def four(status: int, headers: Headers, body: bytes, more: int) -> bool:
    """For partials."""
    return three(status, headers, body) and more == 4


BY_STATUS = [
    two,
    lambda status, headers: status == 419,
    Methods().two,
    functools.partial(with_option, strict=False),
    with_option,
    decorated(two),
    starred,
]
BY_BODY = [
    three,
    lambda status, headers, body: b"refused" in body,
    lambda a, b, c: b"refused" in c,
    Methods().three,
    Methods.of_the_class,
    Callable3(),
    functools.partial(four, more=4),
    with_default_body,
    decorated(three),
]


@pytest.mark.parametrize("predicate", BY_STATUS)
def test_a_predicate_of_two(predicate: Any) -> None:
    """A function, lambda, method, partial, callable object; a third parameter of its own, and *args: two arguments."""
    rule = RejectionCheck(predicate)
    assert (rule.reads_body, rule.only_401) == (False, False)
    assert [rule.refuses(status, {}, b"refused") for status in (200, 401, 419)] == [False, False, True]


@pytest.mark.parametrize("predicate", BY_BODY)
def test_a_predicate_of_three(predicate: Any) -> None:
    """A third parameter that is required, or named body, gets the body."""
    rule = RejectionCheck(predicate)
    assert rule.reads_body
    assert [rule.refuses(200, {}, body) for body in (b"", b"is refused")] == [False, True]


async def asynchronous(status: int, headers: Headers) -> bool:
    """Nothing awaits it."""
    return status == 419


class Asynchronous:
    """Nothing awaits it."""

    async def __call__(self, status: int, headers: Headers) -> bool:
        """Nothing awaits it."""
        return status == 419


def keyword(status: int, headers: Headers, *, body: bytes) -> bool:
    """The body is given by position."""
    return bool(body)


@pytest.mark.parametrize(
    ("predicate", "words"),
    [
        (lambda: True, "is_rejection() cannot be called with (status, headers)"),
        (lambda status: True, "is_rejection(status) cannot be called"),
        (four, "cannot be called with (status, headers)"),
        (keyword, "cannot be called with (status, headers)"),
        (asynchronous, "is asynchronous, and nothing awaits it"),
        (Asynchronous(), "is asynchronous, and nothing awaits it"),
        (Callable3, "the class Callable3 is not a function"),
        (True, "bool is not a function"),
        (401, "int is not a function"),
        ([401], "list is not a function"),
        ("module.function", "str is not a function"),
    ],
)
def test_a_predicate_that_cannot_be_called(predicate: Any, words: str) -> None:
    """When it is configured, not at the first answer; the message shows both forms."""
    with pytest.raises(ConfigurationError) as caught:
        RejectionCheck(predicate)
    assert words in str(caught.value)
    assert "Fix: a function of (status, headers), or of (status, headers, body)" in str(caught.value)


@pytest.mark.parametrize(("value", "refuses"), [(1, True), ("no", True), (None, False), ([], False)])
def test_any_true_value_counts(value: Any, refuses: bool) -> None:
    """As in an ``if``."""
    assert RejectionCheck(lambda status, headers: value).refuses(200, {}, b"") is refuses


def test_a_lambda_around_an_asynchronous_function() -> None:
    """A coroutine is true: every answer would be a refusal, and the forced mints would be banned."""
    check = RejectionCheck(lambda status, headers: asynchronous(status, headers))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="is_rejection returned a coroutine, and nothing awaits it"):
        check.refuses(200, {}, b"")


def marketo(status: int, headers: Headers, body: bytes) -> bool:
    """As Marketo's documentation says."""
    return b'"code":"601"' in body or b'"code":"602"' in body


@pytest.mark.loopback
@clients(*CALLERS)
@pytest.mark.parametrize("code", [601, 602])
@pytest.mark.parametrize("headers", [[], [("Content-Encoding", "gzip")], [("Transfer-Encoding", "chunked")]], ids=str)
def test_an_api_that_refuses_with_200(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, code: int, headers: list[tuple[str, str]]
) -> None:
    """Marketo's 200 with code 601 or 602 is one mint and one replay; a good 200 is read, and the caller gets it all."""
    auth = caller.auth(server, clock, is_rejection=marketo)
    first = auth.source.token().value
    clock.advance(60)

    def answer(request: Received) -> tuple[int, list[tuple[str, str]], bytes]:
        refused = (request.headers.get("Authorization") or "").endswith(first)
        body = MARKETO % code if refused else b'{"success":true,"result":[1]}'
        return 200, headers, gzip.compress(body) if ("Content-Encoding", "gzip") in headers else body

    with scripted_api(answer) as api:
        for statuses in ([200], []):
            answered = caller.get(api.base_url + "/", auth=auth)
            assert (answered.statuses, answered.body) == (statuses, b'{"success":true,"result":[1]}')
        assert len(api.requests) == 3
    assert server.mints == 2


@pytest.mark.loopback
@pytest.mark.parametrize("read", [True, False])
@pytest.mark.parametrize("size", [0, 10, MAX_BODY + 100_000])
def test_a_streamed_body_is_whole_and_a_mebibyte_is_judged(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, size: int, read: bool
) -> None:
    """What was read ahead is put back. In requests, stream=True shows the rule no body that is larger."""
    seen: list[int] = []

    def rule(status: int, headers: Headers, body: bytes) -> bool:
        seen.append(len(body))
        return False

    auth = caller.auth(server, clock, is_rejection=rule)
    caller.attach(auth)
    with scripted_api(lambda _: (200, [], b"x" * size)) as api:
        answered = caller.stream(api.base_url + "/", read=read)
        assert answered.body == (b"x" * size if read else b"")
        assert caller.get(api.base_url + "/").body == b"x" * size
    whole = min(size, MAX_BODY)
    skipped = caller.library.__name__ == "requests" and size > MAX_BODY
    assert seen == [0 if skipped else whole, whole]


@pytest.mark.loopback
def test_events_without_end_are_not_read(caller: Caller, server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """A stream of events reaches the caller at once; the rule gets an empty body."""
    seen: list[bytes] = []

    def rule(status: int, headers: Headers, body: bytes) -> bool:
        seen.append(body)
        return False

    caller.attach(caller.auth(server, clock, is_rejection=rule))
    server.api_headers = {"Content-Type": "text/event-stream"}
    assert caller.stream(server.base_url + "/api/stream").status == 200
    assert seen == [b""]


def to_login(status: int, headers: Headers) -> bool:
    """A session that has ended."""
    return status == 302 and (headers.get("Location") or "").endswith("/login")


@pytest.mark.loopback
@clients(*CALLERS)
@pytest.mark.parametrize("follow", [True, False])
@pytest.mark.parametrize("login", ["/login", "http://localhost:{port}/login"], ids=["own", "foreign"])
def test_a_redirect_to_a_login_page(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, follow: bool, login: str
) -> None:
    """The 302 refuses the token: the original POST is sent again, whether or not the client follows redirects."""
    auth = caller.auth(server, clock, is_rejection=to_login)
    first = auth.source.token().value
    clock.advance(60)

    def answer(request: Received) -> tuple[int, list[tuple[str, str]], bytes]:
        if request.path == "/login":
            return 200, [], b"<form>"
        refused = (request.headers.get("Authorization") or "").endswith(first)
        location = login.format(port=request.headers["Host"].partition(":")[2])
        return (302, [("Location", location)], b"") if refused else (200, [], b"orders")

    option = "allow_redirects" if caller.library.__name__ == "requests" else "follow_redirects"
    with scripted_api(answer) as api:
        answered = caller.post(api.base_url + "/orders", auth=auth, content=b"order", **{option: follow})
        assert (answered.status, answered.body, answered.statuses) == (200, b"orders", [302])
        orders = [request for request in api.requests if request.path == "/orders"]
        assert [(each.method, each.body) for each in orders] == [("POST", b"order")] * 2
        assert caller.post(api.base_url + "/orders", auth=auth, content=b"order").statuses == []
    assert server.mints == 2


@pytest.mark.loopback
def test_a_login_page_after_another_redirect(caller: Caller, server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """The request that was refused is sent again, not the first one."""
    auth = caller.auth(server, clock, is_rejection=to_login)
    first = auth.source.token().value
    clock.advance(60)

    def answer(request: Received) -> tuple[int, list[tuple[str, str]], bytes]:
        if request.path != "/orders":
            return (307, [("Location", "/orders")], b"") if request.path == "/old" else (200, [], b"<form>")
        refused = (request.headers.get("Authorization") or "").endswith(first)
        return (302, [("Location", "/login")], b"") if refused else (200, [], b"good")

    with scripted_api(answer) as api:
        answered = caller.get(api.base_url + "/old", auth=auth)
        assert (answered.status, answered.body) == (200, b"good")
        # requests makes the history of a redirect's target itself, without the answer that a hook has replaced.
        assert answered.statuses == ([307] if caller.library.__name__ == "requests" else [307, 302])
        assert [path for path in api.paths() if path != "/login"] == ["/old", "/orders", "/orders"]
    assert server.mints == 2


@pytest.mark.loopback
def test_a_foreign_page_is_not_judged(caller: Caller, server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """After a redirect to another origin the request carries no token, so no answer there refuses one."""
    auth = caller.auth(server, clock, is_rejection=lambda status, headers: status == 200)
    auth.source.token()
    clock.advance(60)
    with scripted_api(lambda _: (200, [], b"")) as foreign:
        location = [("Location", foreign.base_url + "/page")]
        with scripted_api(lambda _: (307, location, b"")) as api:
            assert caller.get(api.base_url + "/", auth=auth).statuses == [307]
    assert server.mints == 1


class RuleBroken(Exception):
    """What the user's rule raises."""


@pytest.mark.loopback
def test_a_rule_that_raises_is_heard(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, api: str
) -> None:
    """Its exception reaches the caller, who would otherwise never learn that the rule does not work."""

    def broken(status: int, headers: Headers) -> bool:
        raise RuleBroken

    auth = caller.auth(server, clock, is_rejection=broken)
    with pytest.raises(RuleBroken):
        caller.get(api, auth=auth)
    assert auth.source.status().state == "fresh"
    assert server.mints == 1


@pytest.mark.loopback
@clients(*SYNC)
def test_a_mock_transports_answer_is_judged(caller: Caller, server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """An answer that never had a stream, as mocking libraries make it."""
    if caller.library.__name__ == "requests":
        pytest.skip("httpx's own mock")
    auth = caller.auth(server, clock, is_rejection=marketo)
    auth.source.token()
    clock.advance(60)
    bodies = iter([MARKETO % 601, b"good"])
    transport = caller.library.MockTransport(lambda _: caller.library.Response(200, content=next(bodies)))
    with caller.library.Client(transport=transport, auth=auth) as client:
        response = client.get("https://api.example/")
    assert (response.content, [each.status_code for each in response.history]) == (b"good", [200])
    assert server.mints == 2
