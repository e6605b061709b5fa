"""Each kind of failure: who pauses, for how long, and what calls get; on a scripted server and a fake clock."""

from __future__ import annotations

import contextlib
from email.utils import formatdate
from typing import Any

import pytest
from engine_support import OUTAGE, ScriptedServer, SharedMemory, answer, kinds, refusal, settle, source_on

from m2m_auth import ConfigurationError, RenewalPolicy, TokenEndpointUnavailable, TokenRequestRejected, TokenUnavailable
from m2m_auth.events import Event
from m2m_auth.oauth2.client_authentication.client_secret_post import ClientSecretPost
from m2m_auth.oauth2.transport import HttpResponse
from m2m_auth.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    """A fake clock."""
    return FakeClock()


def outage_attempts(clock: FakeClock, server: ScriptedServer, seconds: float, *sources: Any) -> int:
    """Call every source ten times a second for that long; the number of token requests that this caused."""
    before = len(server.requests)
    for _ in range(int(seconds * 10)):
        clock.advance(0.1)
        for source in sources:
            with contextlib.suppress(TokenUnavailable):
                source.token()
            settle(source)
    return len(server.requests) - before


def test_an_outage_is_not_noticed_while_the_token_lives(clock: FakeClock) -> None:
    """While a token is held every call gets it, and steady calls cause only the scheduled attempts."""
    server = ScriptedServer(lifetime=1000)
    source = source_on(server, clock)
    first = source.token()
    server.down = OUTAGE
    clock.advance(880)
    before = len(server.requests)
    for _ in range(1000):
        clock.advance(0.1)
        assert source.token() is first
        settle(source)
    # From 1 s, doubling to W/10 = 25 s, each half random: between 1+1+2+4+... and twice that.
    assert 5 <= len(server.requests) - before <= 14


def test_the_outage_record_is_shared(clock: FakeClock) -> None:
    """Ten processes in an outage ask as often as one: next_attempt_at is in the shared cache."""
    server = ScriptedServer(lifetime=100)
    base = SharedMemory()
    sources = [source_on(server, clock, cache=SharedMemory(base), client_id=f"fleet-{id(base)}") for _ in range(10)]
    for source in sources:
        source.token()
    assert len(server.requests) == 1
    server.down = OUTAGE
    clock.advance(101)
    together = outage_attempts(clock, server, 60, *sources)
    assert 15 <= together <= 62, "cap W/10 = 2.5 s with equal jitter: at least 1.25 s between attempts"


def test_recovery_is_seen_by_all(clock: FakeClock) -> None:
    """When the server is back, one process mints and the others adopt its token."""
    server = ScriptedServer(lifetime=100)
    base = SharedMemory()
    sources = [source_on(server, clock, cache=SharedMemory(base), client_id=f"back-{id(base)}") for _ in range(5)]
    server.down = OUTAGE
    outage_attempts(clock, server, 5, *sources)
    server.down = None
    clock.advance(10)
    tokens = {source.token().value for source in sources}
    assert len(tokens) == 1
    assert len(server.minted) == 1


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        (OUTAGE, "connection"),
        (answer(503, {}), "http_503"),
        (answer(500, {"error": "server_error"}), "http_500"),
        (HttpResponse(200, {"content-type": "text/html"}, b"<html>"), "malformed_response"),
        (answer(200, {"access_token": ""}), "malformed_response"),
    ],
)
def test_retryable_failures_back_off(clock: FakeClock, given: Any, cause: str) -> None:
    """5xx, refused and malformed answers: the cause is carried, and the next attempt comes after 0.5 to 1 s."""
    server = ScriptedServer()
    server.script = [given, given] if cause in ("connection", "http_503") else [given]
    source = source_on(server, clock)
    with pytest.raises(TokenUnavailable) as caught:
        source.token()
    assert caught.value.cause_code == cause
    assert not server.script
    assert 0.4 <= (caught.value.retry_after or 0) <= 1.0
    clock.advance(1.1)
    assert source.token().value == server.minted[0]


@pytest.mark.parametrize(
    ("headers", "at_least", "at_most"),
    [
        ({"retry-after": "120"}, 120, 125),
        ({"retry-after": formatdate(1_700_000_000 + 90, usegmt=True)}, 89, 95),
        ({"x-ratelimit-reset": str(1_700_000_000 + 60)}, 59, 65),
        ({"x-ratelimit-reset": "45"}, 45, 50),
        ({"auth0-client-quota-limit": "b=per_hour;q=10;r=0;t=300,b=per_day;q=100;r=7;t=200"}, 300, 305),
        ({"retry-after": "999999"}, 3600, 3605),
        ({}, 60, 65),
    ],
)
def test_429_is_obeyed(clock: FakeClock, headers: dict[str, str], at_least: float, at_most: float) -> None:
    """Retry-After in seconds or as a date, else X-RateLimit-Reset, else the quota's t=; 3600 s at most, plus 5 s."""
    server = ScriptedServer()
    server.down = answer(429, {}, headers)
    source = source_on(server, clock)
    with pytest.raises(TokenEndpointUnavailable) as caught:
        source.token()
    assert caught.value.status == 429
    assert at_least - 0.1 <= (caught.value.retry_after or 0) <= at_most
    clock.advance(at_least - 1)
    with pytest.raises(TokenUnavailable):
        source.token()
    assert len(server.requests) == 1


def test_429_while_a_token_is_held_is_not_noticed(clock: FakeClock) -> None:
    """Calls get the held token, and no request is made before the server's time."""
    server = ScriptedServer(lifetime=1000)
    source = source_on(server, clock)
    first = source.token()
    server.down = answer(429, {}, {"retry-after": "100"})
    clock.advance(880)
    assert outage_attempts(clock, server, 90, source) == 1
    assert source.token() is first


def test_little_quota_postpones_renewals(clock: FakeClock) -> None:
    """When the quota header says little is left, the token is renewed from E-M on, not from E-W."""
    events: list[Event] = []
    server = ScriptedServer(lifetime=100)
    server.headers = {"auth0-client-quota-limit": "b=per_hour;q=10;r=1;t=3540,b=per_day;q=100;r=90;t=9"}
    source = source_on(server, clock, events)
    source.token()
    assert "quota_low" in kinds(events)
    clock.advance(89)
    source.token()
    settle(source)
    assert len(server.minted) == 1
    clock.advance(2)
    source.token()
    assert len(server.minted) == 2


def test_plenty_of_quota_changes_nothing(clock: FakeClock) -> None:
    """With enough left, renewal begins at E-W+J as ever."""
    server = ScriptedServer(lifetime=100)
    server.headers = {"auth0-client-quota-limit": "b=per_hour;q=10;r=7;t=3540,b=per_day;q=100;r=90;t=9"}
    source = source_on(server, clock)
    source.token()
    clock.advance(89)
    source.token()
    settle(source)
    assert len(server.minted) == 2


def test_invalid_client_doubles_from_30_s_to_5_min(clock: FakeClock) -> None:
    """A refused secret is tried again after 30 s, 60 s, … 300 s, however many calls there are."""
    server = ScriptedServer()
    server.down = refusal("invalid_client", 401)
    source = source_on(server, clock)
    waits = []
    for _ in range(6):
        with pytest.raises(TokenRequestRejected) as caught:
            source.token()
        waits.append(round(caught.value.retry_after or 0))
        clock.advance(waits[-1] + 0.1)
    assert waits == [30, 60, 120, 240, 300, 300]
    assert len(server.requests) == 6


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refusal_without_words_is_like_invalid_client(clock: FakeClock, status: int) -> None:
    """400, 401 or 403 without an OAuth error body: rejected, and the message names status and content type."""
    server = ScriptedServer()
    server.down = HttpResponse(status, {"content-type": "text/plain"}, b"")
    source = source_on(server, clock)
    with pytest.raises(TokenRequestRejected) as caught:
        source.token()
    assert str(status) in str(caught.value)
    assert "text/plain" in str(caught.value)
    assert round(caught.value.retry_after or 0) == 30


@pytest.mark.parametrize("error", ["invalid_scope", "unsupported_grant_type", "invalid_target"])
def test_a_configuration_error_blocks_its_own_key_only(clock: FakeClock, error: str) -> None:
    """It is remembered for 60 s for that exact key; the same client's other requests pass."""
    server = ScriptedServer()
    server.script = [refusal(error)]
    client = f"configured-{error}-{id(server)}"
    wrong = source_on(server, clock, client_id=client, scope="nonsense")
    right = source_on(server, clock, client_id=client, scope="read")
    with pytest.raises(TokenRequestRejected) as caught:
        wrong.token()
    assert caught.value.error == error
    assert round(caught.value.retry_after or 0) == 60
    assert right.token().value == server.minted[0]
    with pytest.raises(TokenRequestRejected):
        wrong.token()
    assert len(server.requests) == 2


def test_a_refused_secret_does_not_take_the_held_token(clock: FakeClock) -> None:
    """invalid_client at renewal: the held token is served until its end."""
    server = ScriptedServer(lifetime=100)
    source = source_on(server, clock)
    first = source.token()
    server.down = refusal("invalid_client", 401)
    clock.advance(80)
    source.token()
    settle(source)
    clock.advance(19)
    assert source.token() is first
    clock.advance(2)
    with pytest.raises(TokenRequestRejected):
        source.token()


def test_a_secret_callable_is_asked_again_and_a_new_secret_passes_at_once(clock: FakeClock) -> None:
    """After invalid_client the callable is asked once more; a rotated secret has a token in the same call."""
    server = ScriptedServer()
    secrets = ["old-secret"]
    asked: list[str] = []

    def secret() -> str:
        asked.append(secrets[0])
        return secrets[0]

    source = source_on(server, clock, client_secret=secret)
    source.token()
    assert asked == ["old-secret"]
    server.script = [refusal("invalid_client", 401)]
    secrets[0] = "new-secret"
    clock.advance(101)
    assert source.token().value == server.minted[-1]
    assert asked == ["old-secret", "new-secret"]
    assert len(server.requests) == 3


def test_an_unchanged_secret_is_not_sent_twice(clock: FakeClock) -> None:
    """If the callable returns the same secret there is one request, and the record counts for every caller."""
    server = ScriptedServer()
    server.down = refusal("invalid_client", 401)
    asked: list[int] = []
    source = source_on(server, clock, client_secret=lambda: (asked.append(1), "same-secret")[1])
    for _ in range(5):
        with pytest.raises(TokenRequestRejected):
            source.token()
    assert len(server.requests) == 1
    assert len(asked) <= 3


@pytest.mark.parametrize("broken", [lambda: 1 / 0, lambda: "", lambda: " padded "])
def test_a_broken_secret_callable_says_so(clock: FakeClock, broken: Any) -> None:
    """A callable that raises or returns nonsense: TokenUnavailable, no request, and another try later."""
    server = ScriptedServer()
    source = source_on(server, clock, client_secret=broken)
    with pytest.raises(TokenUnavailable) as caught:
        source.token()
    assert caught.value.cause_code == "secret_unavailable"
    assert "client_secret callable" in str(caught.value)
    assert server.requests == []


class _Wild(ClientSecretPost):
    """A user's authentication method that fails on the secret that it is given."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def credential(self, client_secret: Any) -> bytes:
        """Raise."""
        raise self.error


@pytest.mark.parametrize(
    ("error", "cause"),
    [(ConfigurationError("no such key"), "configuration"), (RuntimeError("leaks"), "internal_error")],
)
def test_an_authentication_method_that_fails_on_a_fetched_secret_is_asked_once(
    clock: FakeClock, error: Exception, cause: str
) -> None:
    """It is a recorded failure like any other: callers fail at once and fetch nothing until the next attempt is due."""
    server, fetched = ScriptedServer(), list[str]()

    def secret() -> str:
        fetched.append("once")
        return "s3cr3t-s3cr3t"

    source = source_on(server, clock, client_secret=secret, client_authentication=_Wild(error))
    for _ in range(10):
        with pytest.raises(TokenUnavailable) as caught:
            source.token()
        assert caught.value.cause_code == cause
        assert "leaks" not in str(caught.value)
    assert (len(fetched), server.requests) == (1, [])


def test_narrower_scope_is_an_event_or_an_error(clock: FakeClock) -> None:
    """Less scope than asked: an event; with require_scope an error. Absent, empty, larger and reordered are fine."""
    events: list[Event] = []
    server = ScriptedServer()
    server.extra["scope"] = "a"
    source_on(server, clock, events, scope="a b").token()
    assert [event.reason for event in events if event.kind == "scope_narrowed"] == ["b"]
    strict = source_on(server, clock, scope="a b", policy=RenewalPolicy(require_scope=True))
    with pytest.raises(TokenUnavailable) as caught:
        strict.token()
    assert caught.value.cause_code == "scope_narrowed"
    assert "missing: b; granted: a. Fix: allow this client the scope" in str(caught.value)
    server.extra["scope"] = "a;b"
    with pytest.raises(TokenUnavailable, match="scope_separator"):
        source_on(server, clock, scope="a b", policy=RenewalPolicy(require_scope=True), audience="x").token()
    for scope in ("", "b a", "a b c"):
        server.extra["scope"] = scope
        source_on(server, clock, scope="a b", policy=RenewalPolicy(require_scope=True)).token()


def test_any_exception_of_a_transport_is_an_error_without_its_message(clock: FakeClock) -> None:
    """Any exception of a user's transport becomes TokenUnavailable; its message might hold a secret."""
    server = ScriptedServer()
    server.down = RuntimeError("leaks s3cr3t-s3cr3t")
    events: list[Event] = []
    source = source_on(server, clock, events, transport=lambda request: (clock.advance(3), server(request))[1])
    with pytest.raises(TokenUnavailable) as caught:
        source.token()
    assert [event.seconds for event in events if event.kind == "renewal_failed"] == [3.0]
    assert caught.value.cause_code == "internal_error"
    assert "RuntimeError" in str(caught.value)
    assert "leaks" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_the_log_says_an_outage_once(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """An hour's outage is a handful of warnings, not one per attempt; the recovery is said, too."""
    server = ScriptedServer(lifetime=100)
    source = source_on(server, clock)
    with caplog.at_level("INFO", logger="m2m_auth"):
        source.token()
        server.down = OUTAGE
        clock.advance(101)
        outage_attempts(clock, server, 60, source)
        warnings = [record for record in caplog.records if record.levelname == "WARNING"]
        assert len(warnings) == 1
        server.down = None
        clock.advance(60)
        source.token()
    assert "minted" in caplog.records[-1].getMessage()


def test_a_subscriber_that_raises_breaks_nothing(clock: FakeClock) -> None:
    """on_event may raise anything; the token comes."""
    server = ScriptedServer()

    def subscriber(event: Event) -> None:
        raise ValueError(event.kind)

    from m2m_auth import TokenSource

    source = TokenSource(
        "https://tenant.example/oauth/token",
        f"raises-{id(server)}",
        "secret-secret",
        transport=server,
        on_event=subscriber,
    )
    assert source.token().value == server.minted[0]
