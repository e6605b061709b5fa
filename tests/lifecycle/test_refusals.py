"""What an answer without a token means: the kind of failure, the error that a caller sees, and the fix."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from token_answers import failed

from m2m_auth.lifecycle.failure import Failure, FailureKind
from m2m_auth.lifecycle.refusals import failure_of
from m2m_auth.oauth2.token_response import TokenErrorResponse, UnusableTokenResponse

REJECTED, UNAVAILABLE, MALFORMED = "TokenRequestRejected", "TokenEndpointUnavailable", "MalformedTokenResponse"
CREDENTIALS, CONFIGURATION = FailureKind.CREDENTIALS, FailureKind.CONFIGURATION
OF_THE_GRANT = "Allow this client the client-credentials grant at the server."
FIXES = {
    "invalid_client": "Check client_id, client_secret and client_authentication.",
    "invalid_grant": "The refresh token was used, revoked or has expired: get a new one.",
    "invalid_scope": "Ask only for scopes that this client is allowed.",
    "unauthorized_client": OF_THE_GRANT,
    "unsupported_grant_type": OF_THE_GRANT,
    "invalid_target": "Check audience and resource (RFC 8707).",
    "access_denied": "Check the client's rights at the server, and audience.",
    "invalid_request": "Check the token request.",
    "a_code_of_their_own": "Check the token request.",
}


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "invalid_client", CREDENTIALS),
        (400, "invalid_client", CREDENTIALS),
        (200, "invalid_client", CREDENTIALS),
        (400, "invalid_grant", CREDENTIALS),
        (400, "invalid_scope", CONFIGURATION),
        (400, "unauthorized_client", CONFIGURATION),
        (400, "invalid_target", CONFIGURATION),
        (400, "invalid_request", CONFIGURATION),
        (400, "unsupported_grant_type", CONFIGURATION),
        (403, "access_denied", CONFIGURATION),
        (200, "invalid_scope", CONFIGURATION),
        (499, "invalid_scope", CONFIGURATION),
        (400, "a_code_of_their_own", CONFIGURATION),
    ],
)
def test_an_oauth_error_decides(status: int, code: str, kind: FailureKind) -> None:
    """The code decides the kind, whatever the status; the message has both, the server's words, and a fix."""
    facts = {"status": status, "error": code, "error_description": "Not you.", "error_uri": "https://as.example/e"}
    message = f"The token endpoint answered {status} {code}: Not you. {FIXES[code]}"
    assert failure_of(TokenErrorResponse(**facts)) == Failure(kind, REJECTED, message, code, facts=facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(("said", "shown"), [("Plan XX.", "Plan XX"), ("No...", "No"), (".", ""), ("Who?", "Who?")])
def test_the_servers_sentence_ends_with_one_full_stop(said: str, shown: str) -> None:
    """The fix follows as a sentence of its own."""
    message = f"The token endpoint answered 400 invalid_request: {shown}. Check the token request."
    assert failed(400, {"error": "invalid_request", "error_description": said}).message == message


def test_an_oauth_error_without_a_description() -> None:
    """The message has the code and the fix."""
    message = "The token endpoint answered 401 invalid_client. " + FIXES["invalid_client"]
    assert failed(401, {"error": "invalid_client"}).message == message


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize(
    ("body", "headers", "shown"),
    [
        (b"", {}, "missing or invalid Content-Type"),
        (b"<html>Forbidden</html>", {"content-type": "text/html; charset=utf-8"}, "text/html"),
        (b"{}", {"Content-Type": "application/json"}, "application/json"),
        (b'{"error":{"code":7}}', {"Content-Type": "application/json"}, "application/json"),
        (b'{"error":""}', {"Content-Type": "</title><script>"}, "missing or invalid Content-Type"),
    ],
)
def test_a_refusal_without_an_oauth_error(status: int, body: bytes, headers: dict[str, str], shown: str) -> None:
    """Real servers answer a wrong secret with an empty 403, so it means refused credentials."""
    failure = failed(status, body, headers)
    assert (failure.kind, failure.error_class, failure.cause_code) == (CREDENTIALS, REJECTED, f"http_{status}")
    assert failure.message == (
        f"The token endpoint answered {status} without an OAuth error ({shown}). Check client_id and client_secret."
    )


@pytest.mark.parametrize("status", [402, 404, 405, 410, 422, 499])
def test_a_wrong_url_is_a_configuration_error(status: int) -> None:
    """A 404 is not the secret's fault, and asking again does not help."""
    failure = failed(status, b"", {})
    assert (failure.kind, failure.error_class, failure.cause_code) == (CONFIGURATION, REJECTED, f"http_{status}")
    assert failure.message == (
        f"The token endpoint answered {status} without an OAuth error (missing or invalid Content-Type). "
        "Is token_endpoint the URL of a token endpoint?"
    )


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308, 399])
def test_a_redirect_is_not_followed(status: int) -> None:
    """The secret goes to the configured URL only; the location is not repeated, since it may carry anything."""
    failure = failed(status, b"", {"Location": "https://elsewhere.example/"})
    assert (failure.kind, failure.cause_code) == (CONFIGURATION, f"http_{status}")
    assert failure.message == (
        f"The token endpoint answered {status}, a redirect. The client secret is sent to the configured URL only. "
        "Fix: set token_endpoint to the redirect's target."
    )


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 408])
def test_a_server_that_fails_is_worth_another_attempt(status: int) -> None:
    """408 and 5xx are an outage, even with a body that looks like an OAuth error."""
    for body, said in ((b"<html>", ""), (b'{"error":"invalid_client"}', " invalid_client")):
        message = f"The token endpoint answered {status}{said}"
        facts = {"status": status}
        expected = Failure(FailureKind.UNAVAILABLE, UNAVAILABLE, message, f"http_{status}", facts=facts)
        assert failed(status, body) == expected


@pytest.mark.parametrize("code", ["server_error", "temporarily_unavailable"])
def test_an_error_that_says_it_passes_is_an_outage(code: str) -> None:
    """A 400 with such a code is not the client's fault."""
    assert failed(400, {"error": code}).kind is FailureKind.UNAVAILABLE


@pytest.mark.parametrize(("headers", "wait"), [({"Retry-After": "7"}, 7.0), ({"Retry-After": "0"}, 0.0), ({}, 60.0)])
def test_a_429_is_throttling(headers: dict[str, str], wait: float) -> None:
    """The wait is the server's; a minute if it does not say."""
    message = f"The token endpoint answered 429: too many token requests; it asks to wait {wait:.0f} s"
    facts = {"status": 429}
    expected = Failure(FailureKind.THROTTLED, UNAVAILABLE, message, "http_429", wait, facts=facts)
    assert failed(429, b"", headers) == expected


def test_a_503_keeps_the_wait_for_the_caller() -> None:
    """Its Retry-After is in the caller's error; a 500 sets no wait."""
    assert failed(503, b"", {"Retry-After": "30"}).retry_after == 30.0
    assert failed(503, b"", {}).retry_after is None
    assert failed(500, b"", {"Retry-After": "30"}).retry_after is None


def test_a_200_without_a_usable_token_is_an_outage() -> None:
    """A proxy or a login page may have answered; the message asks whether the URL is right."""
    message = "The token endpoint answered 200, but it is odd. Is token_endpoint the URL of a token endpoint?"
    expected = Failure(FailureKind.UNAVAILABLE, MALFORMED, message, "malformed_response")
    assert failure_of(UnusableTokenResponse("it is odd")) == expected


WORDS = st.none() | st.sampled_from([*FIXES, "server_error"]) | st.text("abc def.", min_size=1, max_size=60)
ANSWERS = st.builds(
    TokenErrorResponse,
    st.integers(100, 999),
    WORDS,
    WORDS,
    WORDS,
    st.none() | st.just("text/html"),
    st.none() | st.floats(0, 3600),
)


@settings(max_examples=400, deadline=None)
@given(ANSWERS)
def test_every_refusal_becomes_an_error_for_the_caller(answer: Any) -> None:
    """Any answer is a failure that can be raised: with the status, a short cause and a readable message."""
    failure = failure_of(answer)
    error = failure.error()
    assert (str(error), error.cause_code) == (failure.message, failure.cause_code)
    assert failure.facts["status"] == answer.status
    assert failure.message.startswith(f"The token endpoint answered {answer.status}")
    assert failure.cause_code in (f"http_{answer.status}", answer.error)
