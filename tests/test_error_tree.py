"""The errors: their tree (DESIGN §4), their facts, and what becomes of them on the way to another process."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import httpx
import pytest
import requests

from m2m_auth import errors
from m2m_auth.errors import (
    CacheUnavailable,
    ConfigurationError,
    InsecureTransport,
    M2MAuthError,
    MalformedTokenResponse,
    MintBudgetExhausted,
    OriginNotAllowed,
    TokenEndpointUnavailable,
    TokenRequestRejected,
    TokenUnavailable,
    also_a,
)

FACTS: dict[str, Any] = {
    "status": 401,
    "error": "invalid_client",
    "error_description": "No.",
    "error_uri": "https://as.example/e",
}
UNAVAILABLE: list[TokenUnavailable] = [
    TokenUnavailable("none", cause_code="max_wait", retry_after=1.5),
    TokenRequestRejected("no", cause_code="invalid_client", retry_after=30.0, **FACTS),
    TokenEndpointUnavailable("down", cause_code="http_503", retry_after=None, status=503),
    MalformedTokenResponse("what?", cause_code="malformed_response", retry_after=2.0),
    MintBudgetExhausted("spent", cause_code="budget", retry_after=60.0),
]
OTHERS: list[M2MAuthError] = [
    ConfigurationError("fix it"),
    OriginNotAllowed("no", origin="https://a.example", allowed=("https://b.example",)),
    InsecureTransport("no", origin="http://a.example"),
    CacheUnavailable("gone"),
]
LIBRARIES: list[type[Exception]] = [requests.RequestException, httpx.HTTPError]


def name(value: object) -> str:
    """The class's name, for test ids."""
    return value.__name__ if isinstance(value, type) else type(value).__name__


def plain_facts(error: BaseException) -> tuple[Any, ...]:
    """What makes two errors the same."""
    return type(error), error.args, str(error), vars(error)


def test_the_tree() -> None:
    """Who inherits from whom is the API of every ``except`` clause."""
    parents = {
        name: getattr(errors, name).__bases__ for name in errors.__all__ if isinstance(getattr(errors, name), type)
    }
    assert parents["M2MAuthError"] == (Exception,)
    for child in (
        "ConfigurationError",
        "OriginNotAllowed",
        "InsecureTransport",
        "TokenUnavailable",
        "CacheUnavailable",
    ):
        assert parents.pop(child) == (M2MAuthError,)
    parents.pop("M2MAuthError")
    assert {"TokenRequestRejected", "TokenEndpointUnavailable", "MalformedTokenResponse"} <= set(parents)
    assert set(parents.values()) == {(TokenUnavailable,)}


def test_facts_are_attributes() -> None:
    """Nobody has to read them out of the message."""
    rejected, down = UNAVAILABLE[1], UNAVAILABLE[2]
    assert vars(rejected) == {**FACTS, "cause_code": "invalid_client", "retry_after": 30.0}
    assert vars(down) == {"cause_code": "http_503", "retry_after": None, "status": 503}
    assert vars(OTHERS[1]) == {"origin": "https://a.example", "allowed": ("https://b.example",)}
    assert vars(OTHERS[2]) == {"origin": "http://a.example"}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("error", [*UNAVAILABLE, *OTHERS], ids=name)
def test_every_error_survives_a_pickle(error: M2MAuthError, protocol: int) -> None:
    """A pool of processes hands errors over by pickle; one that fails there hangs or hides the cause."""
    again = pickle.loads(pickle.dumps(error, protocol))
    assert plain_facts(again) == plain_facts(error)


@pytest.mark.parametrize("error", [*UNAVAILABLE, *OTHERS], ids=name)
def test_every_error_can_be_copied(error: M2MAuthError) -> None:
    """Retry libraries copy errors before they raise them again."""
    for again in (copy.copy(error), copy.deepcopy(error)):
        assert again is not error
        assert plain_facts(again) == plain_facts(error)


@pytest.mark.parametrize("library", LIBRARIES, ids=name)
@pytest.mark.parametrize("error", UNAVAILABLE, ids=name)
def test_an_error_is_also_the_librarys(error: TokenUnavailable, library: type[Exception]) -> None:
    """Both families catch it, it has the library's attributes, and its class keeps its name."""
    request = object()
    combined = also_a(error, library, request=request)
    assert isinstance(combined, library)
    assert isinstance(combined, type(error))
    assert (type(combined).__name__, type(combined).__doc__) == (type(error).__name__, type(error).__doc__)
    assert str(combined) == str(error)
    assert vars(combined)["cause_code"] == error.cause_code
    assert type(also_a(error, library)) is type(combined), "one class per pair, not one per error"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("library", LIBRARIES, ids=name)
@pytest.mark.parametrize("error", UNAVAILABLE, ids=name)
def test_a_combined_error_is_pickled_as_the_plain_one(
    error: TokenUnavailable, library: type[Exception], protocol: int
) -> None:
    """The other process may not have the library, and the request may hold what is not pickled."""
    attribute = "_request" if library is httpx.HTTPError else "request"
    combined = also_a(error, library, **{attribute: lambda: None, "response": None})
    again = pickle.loads(pickle.dumps(combined, protocol))
    assert plain_facts(again) == plain_facts(error)
    with pytest.raises(type(error)) as caught:
        raise again
    assert caught.value.retry_after == error.retry_after
    for twice in (copy.copy(combined), copy.deepcopy(combined), pickle.loads(pickle.dumps(again))):
        assert plain_facts(twice) == plain_facts(error)


def test_a_users_subclass_keeps_its_class() -> None:
    """Only the classes that ``also_a`` makes are taken apart."""
    again = pickle.loads(pickle.dumps(OwnError("mine", cause_code="own")))
    assert (type(again), again.cause_code) == (OwnError, "own")


class OwnError(TokenUnavailable):
    """An error that a user derived."""


@pytest.mark.parametrize(
    "kind",
    [TokenUnavailable, TokenRequestRejected, TokenEndpointUnavailable, MalformedTokenResponse, MintBudgetExhausted],
)
def test_a_message_is_enough_to_rebuild_an_error(kind: type[TokenUnavailable]) -> None:
    """Task queues such as Celery rebuild an error from its class and its arguments."""
    rebuilt = kind("no token")
    assert (str(rebuilt), rebuilt.cause_code, rebuilt.retry_after) == ("no token", "unknown", None)
