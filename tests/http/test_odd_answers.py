"""Answers of token endpoints that break RFC 6749 §5.1, on real sockets: each token is used, and each costs one mint."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import pytest
from callers import Caller, clients
from odd_server import OddServer

from m2m_auth import AnswerRules, MalformedTokenResponse, RenewalPolicy, TokenRequestRejected, TokenUnavailable
from m2m_auth.events import Event

pytestmark = pytest.mark.loopback

both = clients("requests", "httpx")
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
GOOD = {"access_token": "t0k3n", "token_type": "Bearer", "expires_in": 3600}


def body_of(**fields: Any) -> bytes:
    """A good answer with these fields changed; ``...`` leaves one out."""
    return json.dumps({name: value for name, value in {**GOOD, **fields}.items() if value is not ...}).encode()


GOOD_TOKENS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "201": (201, JSON, body_of()),
    "203 of a proxy": (203, JSON, body_of()),
    "BearerToken of Apigee": (200, JSON, body_of(token_type="BearerToken")),
    "BEARER": (200, JSON, body_of(token_type="BEARER")),
    "no token_type": (200, JSON, body_of(token_type=...)),
    "token_type null": (200, JSON, body_of(token_type=None)),
    "token_type empty": (200, JSON, body_of(token_type="")),
    "scopes with commas": (200, JSON, body_of(scope="a,b")),
    "scopes in a list": (200, JSON, body_of(scope=["b", "a"])),
    "no scope": (200, JSON, body_of(scope=None)),
    "empty scope": (200, JSON, body_of(scope="")),
    "more scopes, reordered": (200, JSON, body_of(scope="c b a")),
    "expires_in as text": (200, JSON, body_of(expires_in="3600")),
    "expires_in as a fraction in text": (200, JSON, body_of(expires_in="3600.0")),
    "only expires_at": (200, JSON, body_of(expires_in=..., expires_at=int(time.time()) + 3600)),
    "only expires_on, as text": (200, JSON, body_of(expires_in=..., expires_on=str(int(time.time()) + 3600))),
    "only expires, in milliseconds": (200, JSON, body_of(expires_in=..., expires=int(time.time() + 3600) * 1000)),
    "form of GitHub": (200, FORM, b"access_token=t0k3n&scope=a%2Cb&token_type=bearer&expires_in=3600"),
    "form as text/plain": (200, {"Content-Type": "text/plain"}, b"access_token=t0k3n&expires_in=3600\r\n"),
    "form as text/html": (200, {"Content-Type": "text/html; charset=UTF-8"}, b"access_token=t0k3n&expires=3600"),
    "JSON as text/html": (200, {"Content-Type": "text/html"}, body_of()),
    "JSON without a type": (200, {}, body_of()),
    "byte order mark": (200, JSON, b"\xef\xbb\xbf" + body_of() + b"\r\n"),
    "UTF-16": (200, {"Content-Type": "application/json; charset=utf-16"}, body_of().decode().encode("utf-16")),
    "latin-1": (200, {"Content-Type": "application/json; charset=iso-8859-1"}, body_of()[:-1] + b',"name":"caf\xe9"}'),
    "a comment behind the JSON": (200, JSON, body_of() + b"\n<!-- 12 ms -->"),
    "an error beside the token": (200, JSON, body_of(error="", ok=True)),
}


@both
@pytest.mark.parametrize("odd", GOOD_TOKENS)
def test_a_token_that_is_given_is_used(caller: Caller, odd: str) -> None:
    """The token reaches the API, two calls cost one mint, and nothing is assumed of its life; ``require_scope`` holds.

    201: ballerina-library#3334, modelcontextprotocol/python-sdk#1502. BearerToken: DuendeArchive/Support#1413.
    ``expires`` and forms: golang/oauth2#38.
    """
    events: list[Event] = []
    policy = RenewalPolicy(require_scope=True)
    with OddServer(*GOOD_TOKENS[odd]) as server:
        auth = caller.auth(server, scope="a b", policy=policy, on_event=events.append)
        caller.attach(auth)
        assert [caller.get(server.base_url).status for _ in range(2)] == [200, 200]
        assert (server.mints, server.calls) == (1, 2)
        token = auth.source.token()
        assert 3000 < token.expires_at - token.issued_at <= 3600
    assert {"lifetime_assumed", "scope_narrowed"} & {event.kind for event in events} == set()


@both
@pytest.mark.parametrize("expires_in", [0, -1, "", "soon", None])
def test_a_lifetime_that_is_not_said_is_assumed(
    caller: Caller, expires_in: object, caplog: pytest.LogCaptureFixture
) -> None:
    """The token is used for ``default_lifetime``, with one warning."""
    with OddServer(200, JSON, body_of(expires_in=expires_in)) as server, caplog.at_level(logging.WARNING, "m2m_auth"):
        # The log has one line for each client and audience: no other test may have caused it.
        auth = caller.auth(server, audience=server.base_url)
        caller.attach(auth)
        assert [caller.get(server.base_url).status for _ in range(3)] == [200] * 3
        assert server.mints == 1
        token = auth.source.token()
        assert token.expires_at - token.issued_at == 300.0
    (line,) = [record.getMessage() for record in caplog.records]
    assert "does not say how long a token lives" in line
    assert "300 s are assumed" in line


def nested(answer: dict[str, Any]) -> dict[str, Any]:
    """A vendor's answer as RFC 6749's."""
    return {"access_token": answer["data"]["accessToken"], "expires_in": answer["data"]["expiresIn"] / 1000}


@both
@pytest.mark.parametrize(
    ("body", "rules"),
    [
        ({"token": "t0k3n", "expires_in": 3600}, AnswerRules(token_field="token")),
        ({"data": {"token": "t0k3n", "expires_in": "3600"}}, AnswerRules(token_field="data.token")),
        ({**GOOD, "token_type": "JWT"}, AnswerRules(token_types=("jwt",))),
        ({**GOOD, "expires_in": 3_600_000}, AnswerRules(lifetime_unit="ms")),
        ({**GOOD, "expires_in": 60}, AnswerRules(lifetime_unit="min")),
        ({"data": {"accessToken": "t0k3n", "expiresIn": 3_600_000}}, AnswerRules(adapt=nested)),
    ],
    ids=["docker", "path", "type", "milliseconds", "minutes", "adapt"],
)
def test_what_the_library_cannot_see_users_say(caller: Caller, body: object, rules: AnswerRules) -> None:
    """``answers=`` reads the rest."""
    with OddServer(200, JSON, json.dumps(body).encode()) as server:
        auth = caller.auth(server, answers=rules)
        caller.attach(auth)
        assert [caller.get(server.base_url).status for _ in range(2)] == [200, 200]
        assert server.mints == 1
        token = auth.source.token()
        assert token.expires_at - token.issued_at == 3600.0


@both
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, JSON, body_of(token_type="DPoP")), "its token_type is 'DPoP'"),
        ((201, JSON, body_of(token_type="mac")), "answered 201, but its token_type is 'mac'"),
        ((200, JSON, body_of(access_token="a\r\nb")), "has characters that no header may carry"),
        ((200, JSON, b'{"token":"t0k3n"}'), 'Fix, if that is the token: answers=AnswerRules(token_field="token").'),
    ],
    ids=["dpop", "mac", "control-characters", "docker-without-rules"],
)
def test_a_token_that_may_not_be_used_is_held_off(
    caller: Caller, answer: tuple[int, dict[str, str], bytes], words: str
) -> None:
    """It is a mint: the next attempt is a minute away, not a second, and the message says what to do."""
    with OddServer(*answer) as server:
        auth = caller.auth(server)
        caller.attach(auth)
        for _ in range(3):
            with pytest.raises(MalformedTokenResponse) as raised:
                caller.get(server.base_url)
            assert words in str(raised.value)
            assert "t0k3n" not in str(raised.value)
        assert 55 < (raised.value.retry_after or 0) <= 61
        assert (server.mints, server.calls) == (1, 0)


@both
def test_an_adapt_that_raises_is_named(caller: Caller) -> None:
    """By the type of its exception: the message may hold the token."""
    with OddServer(200, JSON, body_of()) as server:
        auth = caller.auth(server, answers=AnswerRules(adapt=lambda answer: answer["data"]))
        caller.attach(auth)
        with pytest.raises(MalformedTokenResponse, match=r"answers\.adapt raised KeyError\. Fix: return a dict"):
            caller.get(server.base_url)


@both
@pytest.mark.parametrize(
    ("headers", "body", "error"),
    [
        (FORM, b"error=incorrect_client_credentials&error_description=Not+you", "incorrect_client_credentials"),
        (JSON, b'{"ok":false,"error":"invalid_auth"}', "invalid_auth"),
        (JSON, b'{"access_token":null,"error":"invalid_client"}', "invalid_client"),
    ],
    ids=["github", "slack", "null-token"],
)
def test_a_200_with_an_error_is_a_refusal(caller: Caller, headers: dict[str, str], body: bytes, error: str) -> None:
    """golang/oauth2#441: the server's own words, not a malformed answer."""
    with OddServer(200, headers, body) as server:
        caller.attach(caller.auth(server))
        with pytest.raises(TokenRequestRejected) as raised:
            caller.get(server.base_url)
        assert (raised.value.status, raised.value.error) == (200, error)


@both
@pytest.mark.parametrize("body", [b"", b"<html>Sign in</html>", b"[]", b'{"message":"back soon"}', b"{"])
def test_a_2xx_without_a_token_is_an_outage(caller: Caller, body: bytes) -> None:
    """A proxy or a login page answers: the next attempt is a second away."""
    with OddServer(200, JSON, body) as server:
        caller.attach(caller.auth(server))
        with pytest.raises(TokenUnavailable) as raised:
            caller.get(server.base_url)
        assert isinstance(raised.value, MalformedTokenResponse)
        assert (raised.value.retry_after or 0) <= 1.0
