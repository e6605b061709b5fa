"""A failure as a record: to a cache and back, and a new exception for each caller."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2m_auth.errors import TokenEndpointUnavailable, TokenRequestRejected, TokenUnavailable
from m2m_auth.lifecycle.failure import Failure, FailureKind

FACTS = {"status": 401, "error": "invalid_client", "error_description": None, "error_uri": None}
REJECTED = Failure(FailureKind.CREDENTIALS, "TokenRequestRejected", "no", "invalid_client", None, 3, FACTS)
DOWN = Failure(FailureKind.THROTTLED, "TokenEndpointUnavailable", "busy", "http_429", 7.5, 1, {"status": 429})
PLAIN = Failure(FailureKind.UNAVAILABLE, "TokenUnavailable", "none", "internal_error")


def over_the_wire(failure: Failure) -> Any:
    """What another process reads."""
    return json.loads(json.dumps(failure.to_json()))


@pytest.mark.parametrize("failure", [REJECTED, DOWN, PLAIN])
def test_a_failure_survives_json(failure: Failure) -> None:
    """Every field comes back, and the kind is the enum."""
    again = Failure.from_json(over_the_wire(failure))
    assert again == failure
    assert again.kind is failure.kind


def test_each_caller_gets_an_exception_of_its_own() -> None:
    """It carries no traceback of another thread; its class and facts are the failure's."""
    one, other = REJECTED.error(retry_after=12.0), REJECTED.error()
    assert isinstance(one, TokenRequestRejected)
    assert one is not other
    assert (one.retry_after, other.retry_after) == (12.0, None)
    assert (one.status, one.error, str(one), one.cause_code) == (401, "invalid_client", "no", "invalid_client")
    assert isinstance(down := DOWN.error(), TokenEndpointUnavailable)
    assert down.status == 429
    assert type(PLAIN.error()) is TokenUnavailable


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "unheard-of"},
        {"kind": None},
        {"error_class": "nearest"},
        {"error_class": "Any"},
        {"error_class": "NoSuchError"},
        {"error_class": "ConfigurationError"},
        {"error_class": "__name__"},
        {"error_class": 5},
        {"attempts": "3"},
        {"attempts": None},
        {"retry_after": "soon"},
        {"facts": None},
        {"facts": {"unheard": "of"}},
        {"facts": []},
    ],
)
def test_a_record_that_is_no_failure_is_refused(change: dict[str, Any]) -> None:
    """A newer version or a stranger may have written it: it raises what the reader expects, and no class is called."""
    with pytest.raises((ValueError, TypeError, KeyError)):
        Failure.from_json({**over_the_wire(REJECTED), **change})


@pytest.mark.parametrize("name", ["ConfigurationError", "CacheUnavailable", "nearest", "NoSuchError", "__name__"])
def test_only_the_errors_of_a_missing_token_are_failures(name: str) -> None:
    """Another class or function of the errors is not called."""
    with pytest.raises(ValueError, match=r"^not a failure's class$"):
        Failure.from_json({**over_the_wire(PLAIN), "error_class": name})


@pytest.mark.parametrize("change", [{"attempts": 1.5}, {"attempts": None}, {"retry_after": "soon"}])
def test_the_numbers_of_a_failure_are_numbers(change: dict[str, Any]) -> None:
    """Text would break the arithmetic of the next attempt, on the thread of a caller."""
    with pytest.raises(TypeError, match=r"^not a failure's numbers$"):
        Failure.from_json({**over_the_wire(PLAIN), **change})


def test_attempts_are_counted_while_the_kind_stays() -> None:
    """Another kind begins again; so does the first failure."""
    first = PLAIN.following(None)
    assert first.attempts == 1
    assert PLAIN.following(first).attempts == 2
    assert PLAIN.following(PLAIN.following(first)) == PLAIN._replace(attempts=3)
    assert PLAIN.following(REJECTED) is PLAIN


@pytest.mark.parametrize("field", Failure._fields)
def test_a_record_with_a_missing_field_is_refused(field: str) -> None:
    """Every field is needed."""
    data = over_the_wire(REJECTED)
    del data[field]
    with pytest.raises((ValueError, TypeError, KeyError)):
        Failure.from_json(data)


VALUES: st.SearchStrategy[Any] = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.none(), max_size=1)


@settings(max_examples=200, deadline=None)
@given(st.fixed_dictionaries(dict.fromkeys(Failure._fields, VALUES)))
def test_noise_raises_nothing_else(data: dict[str, Any]) -> None:
    """Any record of a cache is a failure, or raises one of the three exceptions that the reader expects."""
    try:
        Failure.from_json(data).error()
    except (ValueError, TypeError, KeyError):
        return


def test_a_newer_secret_may_help_after_a_refusal_or_two_timeouts() -> None:
    """A tarpit answers refused credentials after the deadline; one timeout alone is an outage."""
    timeout = DOWN._replace(kind=FailureKind.TIMEOUT)
    assert REJECTED.may_be_the_credential
    assert [timeout._replace(attempts=n).may_be_the_credential for n in (1, 2, 3)] == [False, True, True]
    assert not any(failure.may_be_the_credential for failure in (DOWN, PLAIN))


def test_a_fault_of_one_request_is_not_the_clients() -> None:
    """Other audiences of the client hear of the wait, and not of a scope that they do not ask for."""
    assert DOWN.of_the_endpoint() is DOWN
    assert REJECTED.of_the_endpoint() is REJECTED
    scope = REJECTED._replace(kind=FailureKind.CONFIGURATION, cause_code="invalid_scope", retry_after=30.0)
    other = scope.of_the_endpoint()
    assert (other.kind, other.retry_after, other.error().status) == (FailureKind.THROTTLED, 30.0, 401)  # type: ignore[attr-defined]
    assert Failure.from_json(over_the_wire(other)) == other
