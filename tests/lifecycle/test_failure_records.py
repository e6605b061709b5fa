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
    """Every field, the kind as the enum it was."""
    again = Failure.from_json(over_the_wire(failure))
    assert again == failure
    assert again.kind is failure.kind


def test_each_caller_gets_an_exception_of_its_own() -> None:
    """No traceback of another thread hangs on it; the class and its facts are the failure's."""
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
def test_a_record_that_is_none_is_refused(change: dict[str, Any]) -> None:
    """From a newer version, or from nobody knows whom: an error that the caller expects, and nothing is run."""
    with pytest.raises((ValueError, TypeError, KeyError)):
        Failure.from_json({**over_the_wire(REJECTED), **change})


@pytest.mark.parametrize("field", Failure._fields)
def test_a_record_with_a_missing_field_is_refused(field: str) -> None:
    """Half a record is none."""
    data = over_the_wire(REJECTED)
    del data[field]
    with pytest.raises((ValueError, TypeError, KeyError)):
        Failure.from_json(data)


VALUES: st.SearchStrategy[Any] = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.none(), max_size=1)


@settings(max_examples=200, deadline=None)
@given(st.fixed_dictionaries(dict.fromkeys(Failure._fields, VALUES)))
def test_noise_raises_nothing_else(data: dict[str, Any]) -> None:
    """Anything a cache could hold is a failure or one of the three exceptions that its reader expects."""
    try:
        Failure.from_json(data).error()
    except (ValueError, TypeError, KeyError):
        return
