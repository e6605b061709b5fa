"""Responses that carried a token, their requests and errors are pickled and copied as any other, without the token."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from callers import SYNC, Caller, clients

from m2m_auth.testing import FakeAuthorizationServer, FakeClock

pytestmark = pytest.mark.loopback

COPIES: list[Callable[[Any], Any]] = [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))]
"""In this process, and as a process pool or a result backend does it."""
IDS = ["deepcopy", "pickle"]


def secrets(server: FakeAuthorizationServer) -> list[bytes]:
    """Every token that calls have carried."""
    values = [call.headers["authorization"] for call in server.api_calls]
    return [value.rpartition(" ")[2].encode() for value in values]


@pytest.mark.parametrize("make", COPIES, ids=IDS)
@pytest.mark.parametrize(
    ("options", "redacted"), [({}, "Bearer [redacted]"), ({"scheme": "Token"}, "Token [redacted]")]
)
def test_a_response_with_a_replay_in_its_history(
    caller: Caller,
    server: FakeAuthorizationServer,
    clock: FakeClock,
    api: str,
    make: Callable[[Any], Any],
    options: dict[str, Any],
    redacted: str,
) -> None:
    """The copy has status, body and history, and its headers no token; the original keeps its own."""
    auth = caller.auth(server, clock, **options)
    caller.attach(auth)
    server.accept_tokens = "all"
    auth.source.token()
    clock.advance(60)
    server.api_status = 401
    answer = caller.get(api)
    assert answer.statuses == [401]
    copied = make(answer.raw)
    assert (copied.status_code, copied.content, len(copied.history)) == (401, answer.body, 1)
    for each in (copied, *copied.history):
        assert each.request.headers["Authorization"] == redacted
    assert answer.raw.request.headers["Authorization"].split(" ")[1].encode() in secrets(server)
    for thing in (answer.raw, answer.raw.request, answer.raw.history):
        pickled = pickle.dumps(thing)
        assert not any(secret in pickled for secret in secrets(server))
        assert copy.copy(thing) is not None


@clients(*SYNC)
@pytest.mark.parametrize("make", COPIES, ids=IDS)
def test_the_error_of_a_response(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any, make: Callable[[Any], Any]
) -> None:
    """raise_for_status() raises an error that is copied as far as the library's own errors are."""
    server.api_status = 500
    with pytest.raises(caller.error) as caught:
        caller.get(api).raw.raise_for_status()
    if caller.library.__name__ == "requests":
        copied = make(caught.value)
        assert copied.response.status_code == 500
        assert copied.request.headers["Authorization"] == "Bearer [redacted]"
    assert not any(secret in pickle.dumps(caught.value) for secret in secrets(server))


@clients("requests")
@pytest.mark.parametrize(
    "make", [copy.copy, copy.deepcopy, lambda request: request.copy()], ids=["copy", "deep", "own"]
)
def test_a_copy_of_a_prepared_request_is_sent(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any, make: Callable[[Any], Any]
) -> None:
    """A deep copy has no token: the API's 401 is answered with the held one, and nothing is minted."""
    prepared = caller.client.prepare_request(caller.library.Request("GET", api))
    response = caller.client.send(make(prepared))
    assert response.status_code == 200
    assert server.mints == 1


@clients("requests")
def test_an_unpickled_request_is_sent_without_a_token(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any
) -> None:
    """Another process has no auth for it: it gets the API's 401, as any request without a token."""
    prepared = caller.client.prepare_request(caller.library.Request("GET", api))
    response = caller.client.send(pickle.loads(pickle.dumps(prepared)))
    assert (response.status_code, server.mints) == (401, 1)


@clients("requests")
def test_a_session_is_deep_copied(caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any) -> None:
    """The copy has the same auth, and so the same token."""
    with copy.deepcopy(caller.client) as session:
        assert session.auth is auth
        assert session.get(api).status_code == 200
    assert server.mints == 1


@clients(*SYNC)
def test_headers_show_no_more_than_before(
    caller: Caller, server: FakeAuthorizationServer, clock: FakeClock, api: str
) -> None:
    """The repr of a request's headers hides the token, under Authorization and under a name of the user's."""
    for options in ({}, {"header": "X-Api-Token", "scheme": ""}):
        auth = caller.auth(server, clock, **options)
        server.accept_tokens = "all"
        request = caller.get(api, auth=auth).raw.request
        value = auth.source.token().value
        assert value not in repr(request.headers)
        assert value not in repr(list(request.headers.items()))
        assert value in request.headers[auth._flow.header.name]
