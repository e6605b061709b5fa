"""The token endpoint's answers, good and bad: BEHAVIOUR §3 and §5, row by row."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from answers import NOW, answer, failed, granted

from m2m_auth.lifecycle.failure import Failure, Kind
from m2m_auth.oauth2.token_response import TokenGrant
from m2m_auth.oauth2.transport import HttpResponse

REJECTED, UNAVAILABLE, MALFORMED = "TokenRequestRejected", "TokenEndpointUnavailable", "MalformedTokenResponse"


def test_a_good_answer_is_a_grant() -> None:
    """The four things that matter, and nothing else."""
    found = answer(200, {"access_token": "t0k3n", "token_type": "bearer", "expires_in": 60, "scope": "a b"})
    assert found == TokenGrant("t0k3n", "Bearer", "a b", 60.0)
    assert "t0k3n" not in repr(found)


def test_unknown_fields_and_a_refresh_token_are_dropped() -> None:
    """A refresh_token has no place in a client-credentials response (RFC 6749 §4.4.3)."""
    found = granted({"refresh_token": "r3fr3sh", "id_token": "1d", "interval": 5, "expires_in": 60})
    assert found == TokenGrant("opaque", "Bearer", None, 60.0)


@pytest.mark.parametrize("scope", [None, 5, ["a"], {}])
def test_a_scope_that_is_no_string_is_no_scope(scope: object) -> None:
    """Some servers send a list; what was asked is the key anyhow."""
    assert granted({"scope": scope}).scope is None


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "invalid_client", Kind.CREDENTIALS),
        (400, "invalid_client", Kind.CREDENTIALS),
        (200, "invalid_client", Kind.CREDENTIALS),
        (400, "invalid_scope", Kind.CONFIGURATION),
        (400, "unauthorized_client", Kind.CONFIGURATION),
        (400, "invalid_target", Kind.CONFIGURATION),
        (400, "invalid_request", Kind.CONFIGURATION),
        (400, "unsupported_grant_type", Kind.CONFIGURATION),
        (403, "access_denied", Kind.CONFIGURATION),
        (200, "invalid_scope", Kind.CONFIGURATION),
        (400, "a_code_of_their_own", Kind.CONFIGURATION),
    ],
)
def test_oauth_errors(status: int, code: str, kind: Kind) -> None:
    """The code decides what sort of failure it is, whatever the status; the message has both, and a fix."""
    failure = failed(status, {"error": code, "error_description": "Not you.", "error_uri": "https://as.example/e"})
    assert (failure.kind, failure.error_class, failure.cause_code) == (kind, REJECTED, code)
    facts = {"status": status, "error": code, "error_description": "Not you.", "error_uri": "https://as.example/e"}
    assert failure.facts == facts
    assert f"{status} {code}: Not you.. " in failure.message
    assert failure.message.split(". ")[-1].startswith(("Check", "Ask", "Allow"))


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize(
    ("body", "headers", "shown"),
    [
        (b"", {}, "no content type"),
        (b"<html>Forbidden</html>", {"content-type": "text/html; charset=utf-8"}, "text/html"),
        (b"{}", {"Content-Type": "application/json"}, "application/json"),
        (b'{"error":{"code":7}}', {"Content-Type": "application/json"}, "application/json"),
        (b'{"error":""}', {"Content-Type": "</title><script>"}, "no content type"),
    ],
)
def test_a_refusal_without_an_oauth_error(status: int, body: bytes, headers: dict[str, str], shown: str) -> None:
    """One real server answers a wrong secret with an empty 403: as invalid_client; status and type are named."""
    failure = failed(status, body, headers)
    assert (failure.kind, failure.error_class, failure.cause_code) == (Kind.CREDENTIALS, REJECTED, f"http_{status}")
    assert str(status) in failure.message
    assert f"({shown})" in failure.message
    assert "Check client_id and client_secret" in failure.message


@pytest.mark.parametrize("status", [404, 405, 410, 422, 201, 204])
def test_a_wrong_url_is_a_configuration_error(status: int) -> None:
    """A 404 is not the secret's fault, and asking again does not help."""
    failure = failed(status, b"", {})
    assert (failure.kind, failure.error_class, failure.cause_code) == (Kind.CONFIGURATION, REJECTED, f"http_{status}")
    assert "Is token_endpoint the URL of a token endpoint?" in failure.message


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    """A secret is never sent on; the location is not echoed, since it may carry anything."""
    failure = failed(status, b"", {"Location": "https://elsewhere.example/"})
    assert (failure.kind, failure.cause_code) == (Kind.CONFIGURATION, f"http_{status}")
    assert "redirect" in failure.message
    assert "Fix: set token_endpoint" in failure.message
    assert "elsewhere" not in failure.message


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 408])
def test_a_server_that_fails_is_worth_another_attempt(status: int) -> None:
    """5xx, also with an OAuth-looking body: retryable."""
    for body in (b"<html>", b'{"error":"invalid_client"}'):
        failure = failed(status, body)
        assert (failure.kind, failure.error_class) == (Kind.UNAVAILABLE, UNAVAILABLE)
        assert failure.cause_code == f"http_{status}"
        assert failure.facts == {"status": status}


@pytest.mark.parametrize("code", ["server_error", "temporarily_unavailable"])
def test_codes_that_pass_are_retryable(code: str) -> None:
    """A 400 that says so itself is not the client's fault."""
    assert failed(400, {"error": code}).kind is Kind.UNAVAILABLE


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"Retry-After": formatdate(NOW + 90, usegmt=True)}, 89.75),
        ({"Retry-After": formatdate(NOW - 90, usegmt=True)}, 0.0),
        ({"Retry-After": "999999"}, 3600.0),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "2", "X-RateLimit-Reset": "9"}, 2.0),
        ({"X-RateLimit-Reset": str(int(NOW) + 30)}, 29.75),
        ({"X-RateLimit-Reset": "30"}, 30.0),
        ({"X-RateLimit-Reset": "30", "Auth0-Client-Quota-Limit": "b=per_hour;q=10;r=0;t=99"}, 30.0),
        ({"Auth0-Client-Quota-Limit": "b=per_hour;q=10;r=0;t=99"}, 99.0),
        ({"Auth0-Client-Quota-Limit": "b=per_hour;q=10;r=0;t=99, b=per_day;q=100;r=0;t=1200"}, 1200.0),
        ({"Retry-After": "soon", "X-RateLimit-Reset": "30"}, 30.0),
        ({"Retry-After": "soon"}, 60.0),
        ({}, 60.0),
    ],
)
def test_a_429_says_when(headers: dict[str, str], wait: float) -> None:
    """Retry-After, else X-RateLimit-Reset, else the quota header; a minute if the server does not say."""
    failure = failed(429, b"", headers)
    assert (failure.kind, failure.error_class, failure.cause_code) == (Kind.THROTTLED, UNAVAILABLE, "http_429")
    assert failure.retry_after == pytest.approx(wait)
    assert "too many token requests" in failure.message


def test_a_503_may_say_when_too() -> None:
    """Its Retry-After is carried to the caller; without one there is none."""
    assert failed(503, b"", {"Retry-After": "30"}).retry_after == 30.0
    assert failed(503, b"", {}).retry_after is None
    assert failed(500, b"", {"Retry-After": "30"}).retry_after is None


@pytest.mark.parametrize(
    "body",
    [
        *[b"", b"null", b"[]", b'"token"', b"5", b"{}", b"<html>Sign in</html>", b'{"access_token', b"\xff\xfe\x00"],
        *[b'{"error":7}', b'{"error":""}', b"[" * 100_000, b'{"token":"x"}'],
    ],
)
def test_a_200_that_is_not_a_token(body: bytes) -> None:
    """Malformed, retryable, and silent about the body except for its length and type."""
    failure = failed(200, body)
    assert (failure.kind, failure.error_class) == (Kind.UNAVAILABLE, MALFORMED)
    assert failure.cause_code == "malformed_response"
    assert f"({len(body)} bytes, application/json)" in failure.message
    assert "Is token_endpoint the URL of a token endpoint?" in failure.message


@pytest.mark.parametrize(
    "token", [None, 5, "", "a b", "a\nb", "a\r\nX: y", "a\x00", "tok\u00e9n", "a\x7f", ["t"], True]
)
def test_a_token_that_no_header_may_carry_is_refused(token: object) -> None:
    """Control characters would be a header injection; the token itself is not shown."""
    failure = failed(200, {"access_token": token, "expires_in": 60})
    assert failure.error_class == MALFORMED
    assert "access_token is empty or has characters that no header may carry" in failure.message


@pytest.mark.parametrize(
    ("token_type", "shown"),
    [
        ("DPoP", "'DPoP'"),
        ("mac", "'mac'"),
        ("N_A", "'N_A'"),
        ("", "an odd one"),
        (None, "an odd one"),
        (7, "an odd one"),
    ],
)
def test_a_token_of_another_type_is_never_sent_as_bearer(token_type: object, shown: str) -> None:
    """A DPoP token without its proof is useless, and sent as Bearer it is exposed (RFC 9449)."""
    failure = failed(200, {"access_token": "x", "token_type": token_type})
    assert failure.error_class == MALFORMED
    assert f"token_type is {shown}" in failure.message


def test_a_token_in_the_wrong_field_is_not_shown() -> None:
    """A confused server may put anything into token_type, a token included."""
    for value in ("eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl", {"x": "s3cr3t-s3cr3t"}):
        failure = failed(200, {"access_token": "x", "token_type": value})
        assert "token_type is an odd one" in failure.message


@pytest.mark.parametrize("token_type", ["bearer", "BEARER", "Bearer"])
def test_the_token_type_has_no_case(token_type: str) -> None:
    """RFC 6749 §5.1: case-insensitive; sent in RFC 6750's spelling."""
    assert granted({"token_type": token_type}).token_type == "Bearer"


def test_a_missing_token_type_is_bearer() -> None:
    """Some servers leave it out."""
    found = answer(200, {"access_token": "x"})
    assert isinstance(found, TokenGrant)
    assert found.token_type == "Bearer"


def test_an_error_description_is_echoed_in_rfc_characters_and_200_at_most() -> None:
    """What a server says goes into logs: no control characters, no quotes, no length."""
    said = 'line\nbreak "quoted" back\\slash \u00e9\x1b[31m ' + "x" * 500
    failure = failed(400, {"error": "invalid\r\nscope" + "y" * 100, "error_description": said, "error_uri": "u" * 999})
    description = failure.facts["error_description"]
    assert description == ("line?break ?quoted? back?slash ??[31m " + "x" * 500)[:200]
    assert failure.facts["error"] == ("invalid??scope" + "y" * 100)[:60]
    assert len(failure.facts["error_uri"]) == 200
    assert len(failure.message) < 400
    assert failure.message.isprintable()


@pytest.mark.parametrize("value", [7, ["x"], {"x": "y"}, None, True])
def test_descriptions_of_another_type_are_none(value: object) -> None:
    """Only strings are words."""
    facts = failed(400, {"error": "invalid_scope", "error_description": value, "error_uri": value}).facts
    assert (facts["error_description"], facts["error_uri"]) == (None, None)


def test_a_response_shows_its_size_only() -> None:
    """The repr of a response is what an error reporter prints of a flight's locals."""
    assert repr(HttpResponse(200, {}, b"secret")) == "<HttpResponse 200, 6 bytes>"
    assert isinstance(answer(200, b"secret"), Failure)
