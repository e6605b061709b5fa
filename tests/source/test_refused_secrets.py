"""A secret that the server refuses, in every server's own way: the secret is fetched again, and a new one passes."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any
from urllib.parse import parse_qs

import pytest
from engine_support import ScriptedServer, SharedMemory, answer, refusal, settle, source_on

from m2m_auth import TokenRequestRejected, TokenUnavailable
from m2m_auth.oauth2.transport import HttpRequest, HttpResponse, TransportError
from m2m_auth.testing import FakeClock

FORM = {"content-type": "application/x-www-form-urlencoded"}
HTML = {"content-type": "text/html"}
REFUSALS = [
    pytest.param(refusal("unauthorized_client", 401), id="Keycloak"),
    pytest.param(refusal("access_denied", 401), id="Auth0"),
    pytest.param(refusal("server_error", 401), id="ServiceNow"),
    pytest.param(answer(200, {"error": "incorrect_client_credentials"}), id="GitHub"),
    pytest.param(HttpResponse(200, FORM, b"error=bad_verification_code&error_description=no"), id="GitHub, a form"),
    pytest.param(answer(200, {"ok": False, "error": "invalid_client_id"}), id="Slack"),
    pytest.param(answer(401, {"errorCode": "E0000011", "errorSummary": "Invalid token provided"}), id="Okta"),
    pytest.param(answer(400, {"error": {"code": 400, "message": "no", "status": "FAILED_PRECONDITION"}}), id="Google"),
    pytest.param(refusal("invalid_client", 400), id="invalid_client"),
    pytest.param(refusal("a_code_of_their_own", 422), id="an unknown code"),
    pytest.param(HttpResponse(403, HTML, b"<html>"), id="a page"),
    pytest.param(HttpResponse(400, {}, b""), id="nothing"),
]


class Rotating(ScriptedServer):
    """Accepts one secret, and refuses the others in a server's own way."""

    def __init__(self, refused: HttpResponse, lifetime: float = 300.0) -> None:
        super().__init__(lifetime)
        self.secret, self.refused = "secret-1", refused

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer one token request."""
        (sent,) = parse_qs(request.body.decode())["client_secret"]
        if sent == self.secret:
            return super().__call__(request)
        self.requests.append(request)
        return self.refused


@pytest.fixture
def clock() -> FakeClock:
    """A fake clock."""
    return FakeClock()


def rotating_source(server: Rotating, clock: FakeClock, **options: Any) -> tuple[Any, list[str]]:
    """A source whose secret comes from a callable, and what the callable has returned so far."""
    fetched: list[str] = []

    def secret() -> str:
        fetched.append(server.secret)
        return server.secret

    options = {"client_authentication": "client_secret_post", "client_secret": secret, **options}
    return source_on(server, clock, **options), fetched


def test_a_source_that_alternates_between_two_wrong_secrets_is_asked_a_few_times(clock: FakeClock) -> None:
    """Two replicas of a secret manager disagree: the call never ended. Nor may one flight wait for the other."""
    server = Rotating(refusal("invalid_client", 401))
    secrets = itertools.cycle(["secret-2", "secret-3"])
    fetched: list[str] = []

    def secret() -> str:
        fetched.append(next(secrets))
        return fetched[-1]

    source = source_on(server, clock, client_secret=secret, client_authentication="client_secret_post")
    began = time.monotonic()
    for _ in range(600):
        with pytest.raises(TokenRequestRejected):
            source.token()
        settle(source)
        clock.advance(1.0)
    assert time.monotonic() - began < 10
    assert len(server.requests) <= 12, "each secret is held off for 30 s, doubling to 5 min"
    assert len(fetched) <= 24
    server.secret = "secret-3"
    clock.advance(600)
    assert source.token().value == server.minted[0]


@pytest.mark.parametrize("refused", REFUSALS)
def test_an_hour_with_a_rotated_secret_loses_no_call(clock: FakeClock, refused: HttpResponse) -> None:
    """A call each second; the secret changes twice. 2,651 of 3,600 calls failed where only invalid_client counted.

    keycloak#16923: a wrong secret is 401 unauthorized_client there.
    """
    server = Rotating(refused)
    source, fetched = rotating_source(server, clock)
    failed = 0
    for second in range(3600):
        if second in (1000, 2000):
            server.secret = f"secret-{second}"
        try:
            source.token()
        except TokenUnavailable:
            failed += 1
        settle(source)
        clock.advance(1.0)
    assert failed == 0
    assert fetched == ["secret-1", "secret-1000", "secret-2000"]
    assert len(server.requests) - len(server.minted) == 2, "each old secret was sent once more"


@pytest.mark.parametrize("refused", REFUSALS)
def test_without_a_held_token_a_new_secret_passes_in_the_same_call(clock: FakeClock, refused: HttpResponse) -> None:
    """The secret was replaced while the program was idle: the caller gets a token, and no error."""
    server = Rotating(refused)
    source, _ = rotating_source(server, clock)
    source.token()
    server.secret = "secret-2"
    clock.advance(10_000)
    assert source.token().value == server.minted[-1]


def test_a_failure_that_another_process_shared_asks_for_the_secret_too(clock: FakeClock) -> None:
    """One process met the refusal and has no newer secret yet; the other has one, and mints at once."""
    server, base = Rotating(refusal("unauthorized_client", 401)), SharedMemory()
    client = f"shared-{id(base)}"
    late, _ = rotating_source(server, clock, cache=SharedMemory(base), client_id=client, client_secret=lambda: "old")
    with pytest.raises(TokenRequestRejected):
        late.token()
    given = ["old"]
    early, _ = rotating_source(
        server, clock, cache=SharedMemory(base), client_id=client, client_secret=lambda: given[0]
    )
    assert len(server.requests) == 1
    with pytest.raises(TokenRequestRejected):
        early.token()
    assert len(server.requests) == 1, "the shared record counts for an unchanged secret"
    clock.advance(40)
    given[0] = "secret-1"
    assert early.token().value == server.minted[0]


def test_an_unchanged_secret_is_not_sent_again(clock: FakeClock) -> None:
    """A source per request, as in many programs: the record of the refusal counts for each of them."""
    server = Rotating(refusal("unauthorized_client", 401))
    client = f"many-{id(server)}"
    for _ in range(20):
        source, _ = rotating_source(server, clock, client_id=client, client_secret=lambda: "wrong-secret")
        for _ in range(3):
            with pytest.raises(TokenRequestRejected):
                source.token()
    assert len(server.requests) == 1


def test_an_unchanged_secret_is_fetched_once_a_refusal(clock: FakeClock) -> None:
    """A secret manager costs money, too: twice for the first refusal, and then once for each."""
    server, fetched = Rotating(refusal("invalid_client", 401)), list[str]()

    def secret() -> str:
        fetched.append("x")
        return "wrong-secret"

    source, _ = rotating_source(server, clock, client_secret=secret)
    for _ in range(600):
        with pytest.raises(TokenUnavailable):
            source.token()
        clock.advance(1.0)
    assert len(server.requests) == 5, "at 0, 30, 90, 210 and 450 s"
    assert len(fetched) <= 6


# A tarpit: no answer in time


class Tarpit(Rotating):
    """Delays its answer to a wrong secret for longer than the deadline, so the client sees a timeout."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer one token request, or give none."""
        found = super().__call__(request)
        if found is self.refused:
            raise TransportError("no answer within 10 s", "timeout")
        return found


def test_a_tarpit_is_asked_every_five_minutes(clock: FakeClock) -> None:
    """After the second timeout in a row 30 s, doubling to 5 min: an outage's pace would be 500 requests an hour."""
    server = Tarpit(refusal("invalid_client", 401))
    source, _ = rotating_source(server, clock, client_secret="wrong-secret")
    for _ in range(3600):
        with pytest.raises(TokenUnavailable) as caught:
            source.token()
        assert caught.value.cause_code == "timeout"
        clock.advance(1.0)
    assert 12 <= len(server.requests) <= 18


def test_a_tarpit_asks_for_the_secret_after_the_second_timeout(clock: FakeClock) -> None:
    """The first may be an outage; after the second one the secret is fetched again, and a new one passes at once."""
    server = Tarpit(refusal("invalid_client", 401))
    source, fetched = rotating_source(server, clock)
    source.token()
    server.secret = "secret-2"
    clock.advance(301)
    with pytest.raises(TokenUnavailable):
        source.token()
    assert fetched == ["secret-1"]
    clock.advance(2)
    assert source.token().value == server.minted[-1]
    assert fetched == ["secret-1", "secret-2"]


# What a caller reads


def message_of(server: Any, clock: FakeClock, **options: Any) -> str:
    """The error's message."""
    with pytest.raises(TokenUnavailable) as caught:
        source_on(server, clock, **options).token()
    return str(caught.value)


@pytest.mark.parametrize(
    ("client_id", "secret", "method", "named"),
    [
        ("a-client", "pa$$word+1", "client_secret_basic", True),
        ("urn:client:1", "password1", "client_secret_basic", True),
        ("a-client", "password1~._-", "client_secret_basic", False),
        ("a-client", "pa$$word+1", "client_secret_post", False),
    ],
)
def test_basic_with_special_characters_names_raw(
    clock: FakeClock, client_id: str, secret: str, method: str, named: bool
) -> None:
    """RFC 6749 §2.3.1 percent-encodes both, and several servers decode nothing."""
    server = ScriptedServer()
    server.down = refusal("invalid_client", 401)
    text = message_of(
        server, clock, client_id=f"{client_id}-{id(server)}", client_secret=secret, client_authentication=method
    )
    assert ('ClientSecretBasic("raw")' in text) is named


@pytest.mark.parametrize("secret", ["client", "invalid", "in", "a"])
def test_a_secret_that_is_a_plain_word_leaves_the_code_alone(clock: FakeClock, secret: str) -> None:
    """The secret ``client`` made ``invalid_***`` of ``invalid_client``, and a configuration error of a refusal."""
    server = ScriptedServer()
    server.down = refusal("invalid_client", 401)
    with pytest.raises(TokenRequestRejected) as caught:
        source_on(server, clock, client_secret=secret).token()
    assert (caught.value.error, caught.value.cause_code) == ("invalid_client", "invalid_client")
    assert round(caught.value.retry_after or 0) == 30


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
@pytest.mark.parametrize("status", [200, 401, 503])
def test_a_server_that_repeats_the_request_shows_no_secret(clock: FakeClock, method: str, status: int) -> None:
    """Echoed as sent, in a JSON of its own, and in the header's base64; with any status, also a 200 with an error."""

    def echoes(request: HttpRequest) -> HttpResponse:
        said = f"{request.body.decode()} {json.dumps(dict(request.headers))} s3cr3t/s3cr3t&"
        return answer(status, {"error": "bad_secret", "error_description": said})

    text = message_of(echoes, clock, client_secret="s3cr3t/s3cr3t&", client_authentication=method)
    assert "s3cr3t" not in text
    assert "***" in text


def test_a_url_with_a_query_is_named_without_it(clock: FakeClock) -> None:
    """The token endpoint's query may hold a key of the user's."""
    from m2m_auth import TokenSource

    server = ScriptedServer()
    server.down = HttpResponse(404, {}, b"")
    source = TokenSource("https://t.example/token?key=s3cr3t", "x", "password1", transport=server, clock=clock)
    with pytest.raises(TokenUnavailable) as caught:
        source.token()
    assert "https://t.example/token)" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
