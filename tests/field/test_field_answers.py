"""Tokens as servers in the field send them: each is used, and an hour costs no more mints than its lifetime says."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from field_support import Door, call_for, each_row, odd_server
from real_servers.odd_answers import ANSWERS, UNTOLD, OddAnswer
from real_servers.odd_http import OddServer, Reply

import m2m_auth
from m2m_auth import MintBudget, RenewalPolicy, TokenUnavailable
from m2m_auth.testing import FakeClock

pytestmark = pytest.mark.loopback

REQUESTS = pytest.mark.parametrize("door", ["requests"], indirect=True)
USED = [row for row in ANSWERS if not row.fails]
REFUSED = [row for row in ANSWERS if row.fails]
WIRE = ("first", "gzip", "form-encoded", "byte order mark", "text/html")
"""In the names of the rows that HTTP libraries read with code of their own: interim responses, codings, charsets."""


def named(row: OddAnswer) -> str:
    """The test's id: the row and its report."""
    return f"{row.name} ({row.report})"


@each_row(USED, named, both=lambda row: any(word in row.name for word in WIRE))
def test_a_token_that_can_be_used_is_used(door: Door, clock: FakeClock, row: OddAnswer) -> None:
    """An hour with a call every two minutes: every call succeeds, and mints are as many as the lifetime needs."""
    with odd_server(row.token, clock=clock, lifetime=3600) as server:
        auth = door.auth(server, clock, scope=row.scope, policy=RenewalPolicy(require_scope=True))
        tally = call_for(3600, door, auth, server, clock, step=120)
    assert (tally.failed, [str(error) for error in tally.errors[:1]]) == (0, [])
    assert 1 <= server.mints <= row.mints
    assert len(server.token_requests) == server.mints
    scheme = server.api_calls[0].headers["authorization"].split(" ")[0]
    assert scheme == "Bearer", "whatever the server's token_type, the header's scheme is Bearer"


@REQUESTS
@pytest.mark.parametrize("row", REFUSED, ids=named)
def test_a_token_that_may_not_be_used_is_a_mint(door: Door, clock: FakeClock, row: OddAnswer) -> None:
    """The quota is spent, so the next attempt waits 60 s, doubling: 6 mints an hour, and the error names the type."""
    with odd_server(row.token, clock=clock) as server:
        auth = door.auth(server, clock)
        tally = call_for(3600, door, auth, server, clock)
        ledger = auth.source.status().ledger
    assert tally.failed == 120
    assert 2 <= server.mints <= row.mints
    assert server.api_calls == []
    assert row.name.split()[0].lower() in str(tally.errors[0]).lower()
    assert ledger.mints.month == server.mints, "the ledger counts what the server counted"


@REQUESTS
def test_tokens_that_may_not_be_used_stop_at_the_budget(door: Door, clock: FakeClock) -> None:
    """585 mints an hour were measured, past a budget of 100: a token that is refused here counts as one."""
    with odd_server(REFUSED[0].token, clock=clock) as server:
        auth = door.auth(server, clock, budget=MintBudget(per_month=3))
        call_for(7200, door, auth, server, clock, step=60)
    assert server.mints <= 3


def narrowed(server: OddServer, asked: object) -> Reply:
    """Only the scope ``read``."""
    return Reply({"access_token": server.mint(), "token_type": "Bearer", "expires_in": 3600, "scope": "read"})


@REQUESTS
def test_less_scope_is_a_warning(door: Door, clock: FakeClock) -> None:
    """The token is used, with an event, as long as the policy does not say otherwise."""
    events: list[str] = []
    with odd_server(narrowed, clock=clock) as server:
        auth = door.auth(server, clock, scope="read write", on_event=lambda event: events.append(event.kind))
        assert call_for(300, door, auth, server, clock).failed == 0
    assert (server.mints, events.count("scope_narrowed")) == (1, 1)


@REQUESTS
def test_less_scope_under_require_scope_is_held_off(door: Door, clock: FakeClock) -> None:
    """Every mint gives the same, so asking again is held off as for any token that may not be used."""
    with odd_server(narrowed, clock=clock) as server:
        auth = door.auth(server, clock, scope="read write", policy=RenewalPolicy(require_scope=True))
        tally = call_for(3600, door, auth, server, clock)
    assert tally.failed == 120
    assert 2 <= server.mints <= 7
    assert "write" in str(tally.errors[0])


@REQUESTS
def test_the_same_token_with_no_life_left(door: Door, clock: FakeClock) -> None:
    """A server that gives the same token until its end, then with 0 s left (spring-security-oauth#975): no loop.

    WSO2 does the same (wso2/api-manager#773). A known token with ``expires_in`` 0 is at its end: ask again then.
    """
    last: list[tuple[str, float]] = []

    def same(server: OddServer, asked: object) -> Reply:
        if not last or server.now() >= last[-1][1]:
            last.append((server.mint(600), server.now() + 600))
        token, end = last[-1]
        return Reply({"access_token": token, "token_type": "Bearer", "expires_in": int(max(end - server.now(), 0))})

    with odd_server(same, clock=clock) as server:
        auth = door.auth(server, clock)
        tally = call_for(3600, door, auth, server, clock, step=17)
    assert tally.failed <= 1
    assert server.mints <= 7
    assert len(server.token_requests) <= 7 * 4, "a look after each of E-W, E-M and E"


@REQUESTS
def test_an_unknown_lifetime_is_said_once(door: Door, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """A token of unknown life lives for ``default_lifetime``; the log says so once, however many are minted."""
    row = next(row for row in USED if row.name == "lifetime 0")
    with caplog.at_level(logging.WARNING, "m2m_auth"), odd_server(row.token, clock=clock) as server:
        auth = door.auth(server, clock, client_id=f"unknown-lifetime-{door.name}")
        call_for(1800, door, auth, server, clock, step=100)
    said = [record for record in caplog.records if "expires_in" in record.getMessage()]
    assert 2 <= server.mints <= UNTOLD
    assert len(said) == 1


def docker(server: OddServer, token: str) -> dict[str, Any]:
    """A Docker registry's answer."""
    return {"token": token, "expires_in": 3600, "issued_at": "2026-11-28T00:00:00Z"}


def nested(server: OddServer, token: str) -> dict[str, Any]:
    """An answer in an envelope."""
    return {"code": 0, "data": {"access_token": token, "token_type": "Bearer", "expires_in": 3600}}


def camel(server: OddServer, token: str) -> dict[str, Any]:
    """An answer in camel case."""
    return {"accessToken": token, "tokenType": "Bearer", "expiresIn": 3600}


def milliseconds(server: OddServer, token: str) -> dict[str, Any]:
    """An answer that counts in milliseconds."""
    return {"access_token": token, "token_type": "bearer", "expires_in": 3_600_000}


def jwt_type(server: OddServer, token: str) -> dict[str, Any]:
    """A token type that only its user knows to be a bearer token."""
    return {"access_token": token, "token_type": "JWT", "expires_in": 3600}


def from_camel(body: dict[str, Any]) -> dict[str, Any]:
    """The names of RFC 6749."""
    return {"access_token": body["accessToken"], "expires_in": body["expiresIn"]}


ADAPTED = {
    "Docker registry: token (docs.docker.com, Registry authentication)": (docker, {"token_field": "token"}),
    "an envelope": (nested, {"adapt": lambda body: body["data"]}),
    "camel case": (camel, {"adapt": from_camel}),
    "milliseconds (ethyca/fides#1753, adobe/ims-go#24)": (milliseconds, {"lifetime_unit": "ms"}),
    "token_type JWT": (jwt_type, {"token_types": ("bearer", "jwt")}),
}


@REQUESTS
@pytest.mark.parametrize("case", ADAPTED.values(), ids=ADAPTED)
def test_answer_rules_read_the_rest(
    door: Door,
    clock: FakeClock,
    case: tuple[Callable[[OddServer, str], dict[str, Any]], dict[str, Any]],
) -> None:
    """``answers=AnswerRules(…)``: an hour of a token that lives an hour costs two mints, and no call fails."""
    write, rules = case
    with odd_server(lambda server, asked: Reply(write(server, server.mint())), clock=clock) as server:
        auth = door.auth(server, clock, answers=m2m_auth.AnswerRules(**rules))
        tally = call_for(3900, door, auth, server, clock, step=100)
    assert (tally.failed, [str(error) for error in tally.errors[:1]]) == (0, [])
    assert server.mints == 2


@REQUESTS
def test_an_adapter_that_raises_is_a_clear_error(door: Door, clock: FakeClock) -> None:
    """An exception of ``adapt`` fails the call as a malformed answer does, and shows nothing of the body."""
    with odd_server(lambda server, asked: Reply({"token": server.mint()}), clock=clock) as server:
        auth = door.auth(server, clock, answers=m2m_auth.AnswerRules(adapt=lambda body: body["data"]))
        with pytest.raises(TokenUnavailable) as raised:
            door.get(server.api_url, auth)
    assert "odd-token" not in str(raised.value)
    assert "adapt" in str(raised.value)
