"""Responses and errors that travel: to a process pool, a Celery result, a cache. Their tokens stay behind."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import requests
from field_support import Door, odd_server
from real_servers.odd_http import Reply

from m2m_auth import (
    TokenUnavailable,
)
from m2m_auth.testing import FakeClock

pytestmark = pytest.mark.loopback

REQUESTS = pytest.mark.parametrize("door", ["requests"], indirect=True)
HTTPX = pytest.mark.parametrize("door", ["httpx"], indirect=True)


def carried(response: Any) -> str:
    """The Authorization header of the request behind a response."""
    return str(response.request.headers["Authorization"])


@REQUESTS
@pytest.mark.parametrize(
    "travel", [lambda it: pickle.loads(pickle.dumps(it)), copy.deepcopy], ids=["pickle", "deepcopy"]
)
def test_a_response_travels_without_its_token(door: Door, travel: Any) -> None:
    """Process pools, Celery results and caches of responses pickle them (requests/requests-oauthlib#444)."""
    with odd_server() as server:
        response = door.get(server.api_url, door.auth(server))
        token = server.api_calls[0].bearer
        again = travel(response)
    assert (again.status_code, again.json()) == (200, {"ok": True})
    assert carried(again) == "Bearer [redacted]"
    assert carried(response) == f"Bearer {token}", "the response of the program itself is as it was"
    assert token.encode() not in pickle.dumps(response)


@REQUESTS
@pytest.mark.parametrize(
    "travel", [lambda it: pickle.loads(pickle.dumps(it)), copy.deepcopy], ids=["pickle", "deepcopy"]
)
def test_an_http_error_travels_without_its_token(door: Door, travel: Any) -> None:
    """A worker's exception goes back to its parent by pickle (netbox-community/pynetbox#459)."""
    with odd_server(api=lambda server, asked: Reply({"ok": False}, 500)) as server:
        response = door.get(server.api_url, door.auth(server))
        with pytest.raises(requests.HTTPError) as raised:
            response.raise_for_status()
        again = travel(raised.value)
    assert again.response.status_code == 500
    assert carried(again.response) == "Bearer [redacted]"
    assert b"odd-token" not in pickle.dumps(raised.value)


@REQUESTS
def test_a_response_with_a_history_travels_without_its_tokens(door: Door, clock: FakeClock) -> None:
    """The replaced 401 in ``history`` carried a token, too."""
    with odd_server(clock=clock) as server:
        auth = door.auth(server, clock)
        door.get(server.api_url, auth)
        clock.advance(60)
        server.revoke_all()
        response = door.get(server.api_url, auth)
    assert len(response.history) == 1
    assert b"odd-token" not in pickle.dumps(response)
    assert [carried(old) for old in pickle.loads(pickle.dumps(response)).history] == ["Bearer [redacted]"]


@HTTPX
def test_httpx_responses_travel_without_their_token(door: Door) -> None:
    """httpx's own responses pickle; with our auth they do, and hold no token."""
    with odd_server() as server:
        response = door.get(server.api_url, door.auth(server))
    assert b"odd-token" not in pickle.dumps(response)
    assert carried(pickle.loads(pickle.dumps(response))) == "Bearer [redacted]"
    copied = copy.deepcopy(response)
    assert (copied.status_code, carried(copied)) == (200, "Bearer [redacted]")


@REQUESTS
def test_the_error_of_a_lost_connection_travels_without_the_token(door: Door) -> None:
    """The HTTP library's own errors hold the request that they failed with."""
    with odd_server(api=lambda server, asked: Reply(reset=True)) as server:
        with pytest.raises(requests.ConnectionError) as raised:
            door.get(server.api_url, door.auth(server))
        assert server.api_calls != []
    assert b"odd-token" not in pickle.dumps(raised.value)
    assert "odd-token" not in str(copy.deepcopy(raised.value.request).headers)


@REQUESTS
def test_a_request_travels_without_its_token(door: Door) -> None:
    """A prepared request, alone."""
    with odd_server() as server:
        request = door.get(server.api_url, door.auth(server)).request
    assert pickle.loads(pickle.dumps(request)).headers["Authorization"] == "Bearer [redacted]"


@REQUESTS
def test_a_token_error_travels(door: Door) -> None:
    """Our own errors pickle as the HTTP library's do, with their facts."""
    refusal = Reply({"error": "invalid_client"}, 401)
    with odd_server(lambda server, asked: refusal) as server, pytest.raises(TokenUnavailable) as raised:
        door.get(server.api_url, door.auth(server))
    for again in (pickle.loads(pickle.dumps(raised.value)), copy.deepcopy(raised.value)):
        assert (str(again), again.cause_code) == (str(raised.value), "invalid_client")


def test_a_session_with_our_auth_can_be_copied(door: Door) -> None:
    """A source or an auth deep-copies to itself: frameworks copy their clients' settings."""
    with odd_server() as server:
        auth = door.auth(server)
        assert copy.deepcopy(auth) is auth
        assert copy.deepcopy({"source": auth.source})["source"] is auth.source
        if door.name == "requests":
            door.client.auth = auth
            copied = copy.deepcopy(door.client)
            assert copied.get(server.api_url).status_code == 200
            copied.close()
    assert server.mints == (1 if door.name == "requests" else 0)
