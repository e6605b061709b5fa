"""Introspection (RFC 7662): real servers, how long an answer is kept, and what happens without one."""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

import pytest
from real_servers import AuthorizationServer

from m2m_auth import TokenSource
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.errors import ConfigurationError
from m2m_auth.http.transports import as_transport
from m2m_auth.oauth2.transport import HttpRequest, HttpResponse, TransportError
from m2m_auth.testing import FakeAuthorizationServer, FakeClock
from m2m_auth.verifier import IntrospectionVerifier, InvalidToken, VerifierUnavailable


class Asking:
    """A transport that counts requests, and sends them to a real server or gives a fixed answer."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []
        self.answer: Callable[[HttpRequest], HttpResponse] | None = None
        self.open = threading.Event()
        self.open.set()
        self._real = as_transport(None)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Send it, or answer."""
        self.requests.append(request)
        self.open.wait(20)
        return (self.answer or self._real)(request)

    def __len__(self) -> int:
        return len(self.requests)

    def says(self, status: int = 200, headers: dict[str, str] | None = None, **members: Any) -> None:
        """Gives this answer to every request from now on."""
        self.answer = lambda request: HttpResponse(status, headers or {}, json.dumps(members).encode())


@pytest.fixture
def server(clock: FakeClock) -> Iterator[FakeAuthorizationServer]:
    """An authorization server with introspection and the test's clock."""
    with FakeAuthorizationServer(clock=clock) as running:
        yield running


@pytest.fixture
def asking() -> Asking:
    """The transport that counts the introspections."""
    return Asking()


Make = Callable[..., IntrospectionVerifier]


@pytest.fixture
def make(server: FakeAuthorizationServer, asking: Asking, clock: FakeClock) -> Make:
    """A verifier at the server, with other options."""

    def made(secret: Any = "secret", **options: Any) -> IntrospectionVerifier:
        endpoint = f"{server.base_url}/introspect"
        return IntrospectionVerifier(endpoint, "client", secret, transport=asking, clock=clock, **options)

    return made


def mint(server: FakeAuthorizationServer, clock: FakeClock, **options: Any) -> str:
    """A new token of the server."""
    cache = MemoryTokenCache()
    return TokenSource(server.token_endpoint, "client", "secret", cache=cache, clock=clock, **options).token().value


@pytest.mark.loopback
def test_an_active_token_is_asked_about_once(
    server: FakeAuthorizationServer, make: Make, asking: Asking, clock: FakeClock
) -> None:
    """The first answer serves for 30 s; after that the server is asked again."""
    verifier = make()
    token = mint(server, clock, scope="read", audience="api")
    for _ in range(50):
        found = verifier.verify(token)
    assert (found.client_id, found.scopes, found.audiences) == ("client", {"read"}, {"api"})
    assert len(asking) == 1
    server.revoke(token)
    clock.advance(29)
    assert verifier.verify(token), "the price of a cache, which is documented"
    clock.advance(1)
    with pytest.raises(InvalidToken, match="not active"):
        verifier.verify(token)
    assert len(asking) == 2


@pytest.mark.loopback
def test_the_request_is_rfc_7662s(
    server: FakeAuthorizationServer, make: Make, asking: Asking, clock: FakeClock
) -> None:
    """A form POST with the token and its hint, by a client that authenticates; nothing of it in a URL or a repr."""
    token = mint(server, clock)
    verifier = make()
    verifier.verify(token)
    (request,) = asking.requests
    assert (request.method, request.url) == ("POST", f"{server.base_url}/introspect")
    assert parse_qs(request.body.decode()) == {"token": [token], "token_type_hint": ["access_token"]}
    assert request.headers["Authorization"].startswith("Basic ")
    assert token not in repr(request) + repr(verifier)


@pytest.mark.loopback
def test_posted_credentials(server: FakeAuthorizationServer, make: Make, asking: Asking, clock: FakeClock) -> None:
    """The verifier accepts every client authentication of the library."""
    assert make(client_authentication="client_secret_post").verify(mint(server, clock))
    assert b"client_secret=secret" in asking.requests[0].body


@pytest.mark.loopback
def test_an_inactive_token_is_remembered_more_shortly(make: Make, asking: Asking, clock: FakeClock) -> None:
    """An inactive answer is kept for 5 s, so a token that becomes active is accepted soon."""
    verifier = make()
    errors = []
    for _ in range(20):
        with pytest.raises(InvalidToken) as caught:
            verifier.verify("unknown")
        errors.append(caught.value)
    assert len(asking) == 1
    assert len(set(map(id, errors))) == 20, "a raised exception belongs to one thread"
    clock.advance(5)
    with pytest.raises(InvalidToken):
        verifier.verify("unknown")
    assert len(asking) == 2


@pytest.mark.loopback
def test_an_answer_does_not_outlive_the_token(
    server: FakeAuthorizationServer, make: Make, asking: Asking, clock: FakeClock
) -> None:
    """A token with 10 s left is remembered for 10 s, not for 30."""
    server.lifetime = 10
    verifier = make()
    token = mint(server, clock)
    verifier.verify(token)
    clock.advance(9.5)
    verifier.verify(token)
    assert len(asking) == 1
    clock.advance(0.6)
    with pytest.raises(InvalidToken):
        verifier.verify(token)
    assert len(asking) == 2


@pytest.mark.loopback
def test_without_a_cache_every_call_asks(
    server: FakeAuthorizationServer, make: Make, asking: Asking, clock: FakeClock
) -> None:
    """``cache_for=0``: a revocation counts at once, also for inactive answers."""
    verifier = make(cache_for=0)
    token = mint(server, clock)
    verifier.verify(token)
    server.revoke(token)
    for _ in range(2):
        with pytest.raises(InvalidToken):
            verifier.verify(token)
    assert len(asking) == 3


@pytest.mark.loopback
def test_threads_with_one_token_ask_once(
    server: FakeAuthorizationServer, make: Make, asking: Asking, clock: FakeClock
) -> None:
    """Of 16 calls with one new token one asks and the others read its answer; another token does not wait."""
    verifier = make()
    one, other = mint(server, clock), mint(server, clock)
    verifier.verify(other)
    asking.open.clear()
    with ThreadPoolExecutor(17) as pool:
        calls = [pool.submit(verifier.verify, one) for _ in range(16)]
        try:
            assert pool.submit(verifier.verify, other).result(20)
        finally:
            asking.open.set()
        assert {call.result(20).client_id for call in calls} == {"client"}
    assert len(asking) == 2


@pytest.mark.loopback
def test_a_server_that_is_down_is_not_the_tokens_fault(
    server: FakeAuthorizationServer, make: Make, asking: Asking, clock: FakeClock
) -> None:
    """An outage is a 503 and not a 401; kept answers still serve, and one call at a time tries again."""
    verifier = make()
    known, fresh = mint(server, clock), mint(server, clock)
    verifier.verify(known)
    server.stop()
    for _ in range(50):
        with pytest.raises(VerifierUnavailable, match="connection") as caught:
            verifier.verify(fresh)
        assert verifier.verify(known)
    assert caught.value.status == 503
    assert "Retry-After" in caught.value.headers
    assert len(asking) == 2, "the first, and one that failed: the rest are answered from that failure"
    server.start()
    clock.advance(1)
    assert verifier.verify(fresh)


@pytest.mark.loopback
def test_a_server_that_hangs_costs_one_wait(make: Make, asking: Asking) -> None:
    """16 threads at a server that hangs wait for one timeout together."""
    asking.answer = times_out
    asking.open.clear()
    verifier = make()
    with ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(verifier.verify, "same") for _ in range(16)]
        asking.open.set()
        errors = [call.exception(20) for call in calls]
    assert {type(error) for error in errors} == {VerifierUnavailable}
    assert len({id(error) for error in errors}) == 16, "an exception belongs to one thread"
    assert len(asking) == 1


def times_out(request: HttpRequest) -> HttpResponse:
    """A transport's timeout."""
    raise TransportError("no answer", "timeout")


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("status", "headers", "wait"), [(500, {}, "1"), (429, {"Retry-After": "17"}, "17"), (302, {"Location": "/x"}, "1")]
)
def test_an_unusable_answer(make: Make, asking: Asking, status: int, headers: dict[str, str], wait: str) -> None:
    """Errors and redirects are no verdict about the token; the wait of a 429 is kept and passed on to the caller."""
    asking.says(status, headers, active=True)
    with pytest.raises(VerifierUnavailable, match=f"http_{status}") as caught:
        make().verify("token")
    assert caught.value.headers["Retry-After"] == wait


@pytest.mark.loopback
def test_a_wrong_secret_of_this_api(make: Make, asking: Asking) -> None:
    """If the server refuses this API, the answer is 503, and the message for the log names the fix and no secret."""
    with pytest.raises(VerifierUnavailable, match="Check client_id, client_secret") as caught:
        make("not-the-secret").verify("token")
    assert "not-the-secret" not in str(caught.value)
    assert len(asking) == 1


@pytest.mark.loopback
def test_a_rotated_secret_is_fetched_again(server: FakeAuthorizationServer, make: Make, clock: FakeClock) -> None:
    """A callable is called once, and again after the server refused its secret."""
    given = ["old", "secret"]
    verifier = make(lambda: given.pop(0))
    token = mint(server, clock)
    with pytest.raises(VerifierUnavailable, match="http_401"):
        verifier.verify(token)
    clock.advance(1)
    assert verifier.verify(token)
    clock.advance(60)
    assert verifier.verify(token), "and not a third time: there is none left to give"


@pytest.mark.loopback
def test_a_secret_manager_that_is_down(make: Make) -> None:
    """A callable that fails is a 503 as well; its message is not repeated."""

    def vault() -> str:
        raise OSError("vault token hvs.123")

    with pytest.raises(VerifierUnavailable, match="secret_source_OSError") as caught:
        make(vault).verify("token")
    assert "hvs" not in str(caught.value)


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"active": False, "scope": "admin"}, "not active"),
        ({"active": "true"}, "not active"),
        ({"active": 1}, "not active"),
        ({}, "not active"),
        ({"active": True, "token_type": "DPoP"}, "not a bearer token"),
        ({"active": True, "cnf": {"x5t#S256": "x"}}, "bound to a key"),
        ({"active": True, "iss": "https://other.example"}, "another issuer"),
        ({"active": True, "aud": "other"}, "another audience"),
        ({"active": True, "exp": 1_699_999_970}, "has expired"),
        ({"active": True, "nbf": 1_700_000_031}, "not valid yet"),
        ({"active": True, "exp": "soon"}, "not a number"),
    ],
)
def test_an_answer_that_does_not_fit(make: Make, asking: Asking, members: dict[str, Any], why: str) -> None:
    """``active`` must be exactly true, and a configured issuer and audience must match."""
    good = {"iss": "https://as.example", "aud": ["api"], "exp": 1_700_000_600}
    asking.says(**{**good, **members})
    with pytest.raises(InvalidToken, match=why):
        make(issuer="https://as.example", audience="api").verify("token")
    asking.says(**good, active=True)
    assert make(issuer="https://as.example", audience="api").verify("token"), "the rest of the answer is good"


@pytest.mark.loopback
def test_an_audience_that_the_answer_does_not_name(make: Make, asking: Asking) -> None:
    """With ``audience`` set, an answer without ``aud`` is refused; without it, ``active`` is enough."""
    asking.says(active=True)
    with pytest.raises(InvalidToken, match="audience"):
        make(audience="api").verify("token")
    assert make().verify("token").client_id == ""


@pytest.mark.loopback
def test_made_up_tokens_do_not_push_out_real_ones(
    server: FakeAuthorizationServer, make: Make, asking: Asking, clock: FakeClock
) -> None:
    """Both kinds of answers are bounded, and inactive ones cannot evict active ones."""
    verifier = make(cache_size=8)
    token = mint(server, clock)
    verifier.verify(token)
    real, asking.answer = asking.answer, lambda request: HttpResponse(200, {}, b'{"active": false}')
    for number in range(100):
        with pytest.raises(InvalidToken):
            verifier.verify(f"made-up-{number}")
    before = len(asking)
    verifier.verify(token)
    for number in range(92, 100):
        with pytest.raises(InvalidToken):
            verifier.verify(f"made-up-{number}")
    assert len(asking) == before, "these nine are remembered"
    with pytest.raises(InvalidToken):
        verifier.verify("made-up-91")
    assert len(asking) == before + 1, "and no other"
    asking.answer = real


@pytest.mark.loopback
def test_the_token_that_was_used_longest_ago_goes_first(make: Make, asking: Asking) -> None:
    """With room for two answers, the third evicts the least recently used."""
    asking.says(active=True)
    verifier = make(cache_size=2)
    for token in ("a", "b", "a", "c", "a"):
        verifier.verify(token)
    assert len(asking) == 3
    verifier.verify("b")
    assert len(asking) == 4


@pytest.mark.loopback
def test_the_token_is_not_kept(make: Make, asking: Asking) -> None:
    """Neither the token nor the secret is in any string that the verifier holds."""
    asking.says(active=True, client_id="someone")
    verifier = make()
    verifier.verify("a-very-recognisable-token")
    asking.requests.clear()
    strings, seen, todo = [], set(), list(vars(verifier).values())
    while todo:
        each = todo.pop()
        if id(each) not in seen and not isinstance(each, type) and not callable(each):
            seen.add(id(each))
            strings += [each] if isinstance(each, str) else []
            todo += [*gc.get_referents(each), *getattr(each, "__dict__", {}).values()]
    assert "someone" in strings, "the walk does reach the answers"
    assert not [each for each in strings if "recognisable" in each]


def test_options_that_make_no_sense() -> None:
    """Each is a ConfigurationError before any I/O, naming the option."""
    for options, why in [
        ({"endpoint": "http://as.example/introspect"}, "plain http"),
        ({"endpoint": ""}, "missing or blank"),
        ({"client_id": " "}, "client_id"),
        ({"client_secret": None}, "client_secret is missing"),
        ({"client_secret": " "}, "client_secret is blank"),
        ({"client_authentication": "client_secret_jwt"}, "client_authentication"),
        ({"cache_for": -1}, "cache_for"),
        ({"cache_for": 86400}, "cache_for"),
        ({"cache_inactive_for": None}, "cache_inactive_for"),
        ({"cache_size": 0}, "cache_size"),
        ({"issuer": " "}, "issuer is blank"),
        ({"timeout": 0}, "timeout"),
    ]:
        given = {
            "endpoint": "https://as.example/introspect",
            "client_id": "api",
            "client_secret": "s3cr3t-value",
            **options,
        }
        with pytest.raises(ConfigurationError, match=why) as caught:
            IntrospectionVerifier(**given)
        assert "s3cr3t-value" not in str(caught.value)


@pytest.mark.processes
def test_real_servers_agree(real_server: AuthorizationServer) -> None:
    """With Authlib and django-oauth-toolkit a token is active with its scopes; a revoked or cut token is not."""
    source = TokenSource(real_server.token_endpoint, "client", "secret", scope="read", cache=MemoryTokenCache())
    asks = _Basic(real_server.introspection_authorization)
    verifier = IntrospectionVerifier(real_server.introspection_url, "api", client_authentication=asks, cache_for=0)
    token = source.token().value
    found = verifier.verify(token)
    assert found.client_id == "client"
    assert found.scopes == {"read"}
    with pytest.raises(InvalidToken):
        verifier.verify(token[:-3])
    real_server.revoke(token)
    with pytest.raises(InvalidToken):
        verifier.verify(token)


class _Basic:
    """A user's own client authentication: the header that the test servers give to their API."""

    method = "given"

    def __init__(self, authorization: str) -> None:
        self._authorization = authorization

    def credential(self, client_secret: object) -> bytes:
        """No credential."""
        return b""

    def authenticate(self, client_id: str, client_secret: object, token_endpoint: str, now: float) -> Any:
        """The fixed header."""
        from m2m_auth.oauth2.client_authentication.protocol import RequestCredentials

        return RequestCredentials({"Authorization": self._authorization}, ())
