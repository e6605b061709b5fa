"""What an answer without a token means: the kind of failure, the error that a caller sees, and the fix."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from token_answers import failed, refused

from m2m_auth.lifecycle.failure import Failure, FailureKind
from m2m_auth.lifecycle.refusals import SentRequest, failure_of
from m2m_auth.oauth2.token_error_response import TokenErrorResponse
from m2m_auth.oauth2.token_response import UnusableTokenResponse

CANARY = b"canary-5ecret"
REJECTED, UNAVAILABLE, MALFORMED = "TokenRequestRejected", "TokenEndpointUnavailable", "MalformedTokenResponse"
CREDENTIALS, CONFIGURATION = FailureKind.CREDENTIALS, FailureKind.CONFIGURATION
OUTAGE, THROTTLED = FailureKind.UNAVAILABLE, FailureKind.THROTTLED
CHECK = "Check client_id, client_secret and client_authentication."
FIXES = {
    "invalid_client": CHECK,
    "invalid_grant": "Check what the grant sends: it is unknown, revoked or has expired.",
    "invalid_scope": "Ask only for scopes that this client is allowed.",
    "unauthorized_client": "Check client_secret, and allow this client the grant client_credentials at the server.",
    "unsupported_grant_type": "Allow this client the grant client_credentials at the server.",
    "invalid_target": "Check audience and resource (RFC 8707).",
    "access_denied": "Check client_id and client_secret, the client's rights at the server, and audience.",
    "invalid_request": "Check the token request.",
    "a_code_of_their_own": CHECK,
}


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "invalid_client", CREDENTIALS),
        (400, "invalid_client", CREDENTIALS),
        (404, "invalid_client", CREDENTIALS),
        (200, "invalid_client", CREDENTIALS),
        (400, "invalid_grant", CREDENTIALS),
        (400, "unauthorized_client", CREDENTIALS),
        (403, "access_denied", CREDENTIALS),
        (400, "a_code_of_their_own", CREDENTIALS),
        (422, "a_code_of_their_own", CREDENTIALS),
        (200, "a_code_of_their_own", CREDENTIALS),
        (401, "invalid_request", CREDENTIALS),
        (401, "invalid_scope", CREDENTIALS),
        (400, "invalid_scope", CONFIGURATION),
        (400, "invalid_target", CONFIGURATION),
        (400, "invalid_request", CONFIGURATION),
        (403, "invalid_request", CONFIGURATION),
        (400, "unsupported_grant_type", CONFIGURATION),
        (200, "invalid_scope", CONFIGURATION),
        (499, "invalid_scope", CONFIGURATION),
    ],
)
def test_an_oauth_error_decides(status: int, code: str, kind: FailureKind) -> None:
    """The code decides the kind, except with a 401; the message has both, the server's words, and a fix."""
    facts = {"status": status, "error": code, "error_description": "Not you.", "error_uri": "https://as.example/e"}
    fix = FIXES["a_code_of_their_own"] if (status, code) == (401, "invalid_request") else FIXES[code]
    message = f"The token endpoint answered {status} {code}: Not you. {fix}"
    assert failure_of(TokenErrorResponse(**facts)) == Failure(kind, REJECTED, message, code, facts=facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        pytest.param(401, {"error": "unauthorized_client"}, CREDENTIALS, "unauthorized_client", id="Keycloak"),
        pytest.param(401, {"error": "access_denied"}, CREDENTIALS, "access_denied", id="Auth0"),
        pytest.param(401, {"error": "server_error"}, CREDENTIALS, "server_error", id="ServiceNow"),
        pytest.param(401, {"error": "temporarily_unavailable"}, CREDENTIALS, "temporarily_unavailable", id="any 401"),
        pytest.param(401, {"errorCode": "E0000011"}, CREDENTIALS, "E0000011", id="Okta"),
        pytest.param(200, {"error": "incorrect_client_credentials"}, CREDENTIALS, "incorrect_client_credentials"),
        pytest.param(200, {"ok": False, "error": "invalid_client_id"}, CREDENTIALS, "invalid_client_id", id="Slack"),
        pytest.param(200, {"success": False, "errors": [{"code": "601"}]}, CREDENTIALS, "601", id="Marketo"),
        pytest.param(200, {"errcode": 40013, "errmsg": "invalid appid"}, CREDENTIALS, "40013", id="WeChat"),
        pytest.param(200, {"ok": False}, CREDENTIALS, "http_200", id="no code"),
        pytest.param(201, {"success": False}, CREDENTIALS, "http_201", id="another 2xx"),
        pytest.param(404, {"error": "Not Found", "status": 404}, CONFIGURATION, "http_404", id="Spring 404"),
        pytest.param(404, {"error": "NotFound"}, CONFIGURATION, "NotFound", id="a status in words"),
        pytest.param(405, {"error": "method_not_allowed"}, CONFIGURATION, "method_not_allowed", id="405"),
        pytest.param(401, {"error": "Unauthorized", "status": 401}, CREDENTIALS, "Unauthorized", id="Spring 401"),
        pytest.param(400, {"error": "INVALID_SCOPE"}, CONFIGURATION, "INVALID_SCOPE", id="upper case"),
        pytest.param(400, {"code": 400, "message": "no"}, CREDENTIALS, "http_400", id="the status again"),
    ],
)
def test_what_real_servers_answer(status: int, body: dict[str, Any], kind: FailureKind, code: str) -> None:
    """A refusal is judged by its effect: Keycloak, Auth0, ServiceNow, Okta, GitHub and Slack refuse a secret so.

    keycloak#16923; golang/oauth2#441 has GitHub's and golang/oauth2#442 Slack's error in a 200.
    """
    failure = failed(status, body)
    assert (failure.kind, failure.cause_code, failure.error_class) == (kind, code, REJECTED)
    assert failure.facts["status"] == status


@pytest.mark.parametrize("status", [200, 400, 429, 503])
def test_the_users_own_list_of_codes_decides_first(status: int) -> None:
    """``answers.credential_errors``: whatever the status is."""
    answer = TokenErrorResponse(status, "invalid_scope", throttled=status == 429)
    assert failure_of(answer, SentRequest(credential_errors=("invalid_scope",))).kind is CREDENTIALS
    assert failure_of(answer, SentRequest(credential_errors=("other",))).kind is not CREDENTIALS


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
        (b"Forbidden", {"content-type": "text/plain; charset=utf-8"}, "text/plain"),
        (b"{}", {"Content-Type": "application/json"}, "application/json"),
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
@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("https://elsewhere.example/login?secret=x#y", " to https://elsewhere.example"),
        ("http://as.example:8080/", " to http://as.example:8080"),
        ("https://user:password@[2001:db8::1]/", " to https://[2001:db8::1]"),
        ("/login?next=token", ""),
        ("//elsewhere.example", ""),
        ("https://\x1b[31m/", ""),
        ("https://[", ""),
        ("ftp://elsewhere.example/", ""),
        ("", ""),
    ],
)
def test_a_redirect_is_not_followed(status: int, location: str, target: str) -> None:
    """The secret goes to the configured URL only; of the location the origin is named: the rest may carry anything."""
    failure = failed(status, b"", {"Location": location})
    assert (failure.kind, failure.cause_code) == (CONFIGURATION, f"http_{status}")
    assert failure.message == (
        f"The token endpoint answered {status}, a redirect{target}. The client secret is sent to the configured URL "
        "only. Fix: set token_endpoint to the redirect's target."
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


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (503, {}, OUTAGE),
        (500, {}, OUTAGE),
        (502, {}, OUTAGE),
        (403, {}, CREDENTIALS),
        (401, {"error": "invalid_client"}, CREDENTIALS),
        (400, {"error": "invalid_scope"}, CONFIGURATION),
        (400, {"error": "slow_down"}, CREDENTIALS),
        (404, {}, CONFIGURATION),
        (302, {}, CONFIGURATION),
        (200, {"ok": False, "error": "ratelimited"}, CREDENTIALS),
    ],
)
def test_any_refusal_keeps_its_retry_after(status: int, body: Any, kind: FailureKind) -> None:
    """It is obeyed with every kind; the reset of a limit that is on every answer counts for a throttled one only."""
    failure = failed(status, body, {"Retry-After": "30", "Content-Type": "application/json"})
    assert (failure.kind, failure.retry_after) == (kind, 30.0)
    assert failed(status, body, {"X-RateLimit-Reset": "30"}).retry_after == (30.0 if status == 503 else None)


@pytest.mark.parametrize("name", ["X-RateLimit-Remaining", "X-Rate-Limit-Remaining", "RateLimit-Remaining"])
def test_a_403_without_a_request_left_is_throttling(name: str) -> None:
    """GitHub answers 403 where others answer 429; with requests left it is a refusal."""
    failure = failed(403, b"", {name: "0", "X-RateLimit-Reset": "90"})
    assert (failure.kind, failure.retry_after, failure.error_class) == (THROTTLED, 90.0, UNAVAILABLE)
    failure = failed(403, b"", {name: "7", "X-RateLimit-Reset": "90"})
    assert (failure.kind, failure.retry_after) == (CREDENTIALS, None)


def test_a_token_that_may_not_be_used_is_a_mint() -> None:
    """A 2xx with a DPoP token is a configuration error of its own kind: the quota is spent."""
    failure = failed(200, {"access_token": "x", "token_type": "DPoP"})
    assert (failure.kind, failure.minted, failure.error_class) == (FailureKind.UNUSABLE, True, MALFORMED)
    assert "'DPoP'" in failure.message
    assert "Fix: let the server issue Bearer tokens for this client." in failure.message


def test_a_200_without_a_usable_token_is_an_outage() -> None:
    """A proxy or a login page may have answered; the message asks whether the URL is right."""
    message = "The token endpoint answered 200, but it is odd. Is token_endpoint the URL of a token endpoint?"
    expected = Failure(FailureKind.UNAVAILABLE, MALFORMED, message, "malformed_response")
    assert failure_of(UnusableTokenResponse("it is odd")) == expected


# The advice


@pytest.mark.parametrize("code", ["slow_down", "ratelimited", "rate_limit_exceeded", "TooManyRequestsException"])
def test_a_code_of_throttling_does_not_blame_the_secret(code: str) -> None:
    """The secret is asked for again all the same: the code is no RFC's."""
    failure = failed(400, {"error": code, "message": "Wait"})
    assert failure.kind is CREDENTIALS
    assert "Wait. The server may have been asked too often. If not: check client_id" in failure.message


SENT = SentRequest("https://as.example/token", user_agent="m2m-auth/1.0 requests/2.32")


def advice(status: int, body: object, headers: dict[str, str] | None = None, **sent: Any) -> str:
    """The message about a refusal of a request that was sent like this."""
    return failure_of(refused(status, body, headers), SENT._replace(**sent)).message


@pytest.mark.parametrize(("encoding", "other"), [("percent", "raw"), ("raw", "percent")])
@pytest.mark.parametrize("body", [{"error": "invalid_client"}, {}, {"error": "unauthorized_client"}])
def test_basic_with_special_characters_names_the_other_encoding(encoding: str, other: str, body: object) -> None:
    """Some servers decode nothing, others decode: the message names the one that was not tried."""
    assert f'Fix: client_authentication=ClientSecretBasic("{other}").' in advice(401, body, basic_encoding=encoding)
    page = advice(401, b"<html>", {"Content-Type": "text/html"}, basic_encoding=encoding)
    assert f'ClientSecretBasic("{other}")' in page
    assert "ClientSecretBasic" not in advice(401, body)
    assert "ClientSecretBasic" not in advice(400, {"error": "invalid_scope"}, basic_encoding=encoding)


def test_only_a_refresh_token_was_used() -> None:
    """The advice about refresh tokens is for their grant (RFC 6749 §6); others have no such token."""
    assert "The refresh token was used" in advice(400, {"error": "invalid_grant"}, grant_type="refresh_token")
    other = advice(400, {"error": "invalid_grant"}, grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer")
    assert "refresh" not in other.lower()
    assert "refresh" not in advice(400, {"error": "invalid_grant"}).lower()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 502, 503])
@pytest.mark.parametrize(
    "server", ["cloudflare", "AkamaiGHost", "Microsoft-Azure-Application-Gateway/v2", "nginx/1.25"]
)
def test_an_html_page_is_a_gateways(status: int, server: str) -> None:
    """The gateway is named by its Server header; a 403 says which User-Agent to let pass."""
    html = b"<html>" + CANARY + b"</html>"
    message = advice(status, html, {"Content-Type": "text/html", "Server": server})
    assert f"gateway ({server})" in message
    assert ("with the User-Agent 'm2m-auth/1.0 requests/2.32'" in message) is (status in (400, 401, 403))
    page = advice(status, html, {"Content-Type": "text/html", "Server": server}, user_agent="")
    assert "User-Agent" not in page, "a transport of the user's may send any"
    assert CANARY.decode() not in message


@pytest.mark.parametrize("server", ["", "<script>", "x\x1b[31m", "y" * 41])
def test_a_server_header_that_is_no_name_is_not_repeated(server: str) -> None:
    """It goes into logs and pages."""
    message = advice(403, b"<html>", {"Content-Type": "text/html", "Server": server})
    assert "so a gateway has answered" in message


@pytest.mark.parametrize(("status", "body"), [(415, {}), (400, {}), (400, {"error": "invalid_request"})])
def test_a_refused_json_body_says_so(status: int, body: object) -> None:
    """RFC 6749 knows forms only, so ``encoding="json"`` is the first suspect."""
    assert "The request's body was JSON" in advice(status, body, encoding="json")
    assert "JSON, which" not in advice(status, body)


def test_a_refused_form_names_json() -> None:
    """A 415 to a form: this server wants JSON."""
    assert 'grant=ClientCredentials(encoding="json")' in advice(415, {})


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 410, 415, 422])
@pytest.mark.parametrize("media_type", ["text/html", "application/json", "text/plain"])
def test_a_refusal_that_is_not_oauth_names_the_url(status: int, media_type: str) -> None:
    """Most often the URL is another page of the same host."""
    assert "https://as.example/token" in advice(status, b"", {"Content-Type": media_type})
    assert "https://as.example/token" not in advice(status, {"error": "invalid_client"})


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (
            {"error": "invalid_client", "trace_id": "abc-1", "correlation_id": "def-2"},
            "(trace_id abc-1, correlation_id",
        ),
        ({"errorCode": "E0000011", "errorSummary": "Invalid", "errorId": "oae1"}, "E0000011: Invalid (errorId oae1)."),
        ({"message": "no", "requestId": "r-1"}, ": no (requestId r-1)."),
        ({"error": "x", "error_description": "Trace ID: t-1", "trace_id": "t-1"}, "Trace ID: t-1. "),
    ],
)
def test_ids_that_support_asks_for_are_shown(body: object, shown: str) -> None:
    """They are in the message once, under the server's own name."""
    assert shown in advice(401, body)


def test_an_outage_says_what_the_server_said() -> None:
    """A maintenance page in JSON has words, too."""
    message = "The token endpoint answered 503; it asks to wait 60 s. It said: Down for maintenance (request_id r1)"
    body = {"message": "Down for maintenance.", "request_id": "r1"}
    assert advice(503, body, {"Retry-After": "60"}) == message


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
