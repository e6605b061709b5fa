"""Refusals of the token endpoint as real servers send them, over the wire: what the caller's error says and holds."""

from __future__ import annotations

import itertools
import json
from email.utils import formatdate
from typing import Any, NamedTuple

import pytest
from wire import Wire, reply

import m2m_auth.httpx
import m2m_auth.requests
from m2m_auth import ClientCredentials, TokenRequestRejected, TokenUnavailable
from m2m_auth.testing import FakeClock

pytestmark = pytest.mark.loopback

_clients = itertools.count()
JSON, FORM, HTML = (
    f"Content-Type: {name}" for name in ("application/json", "application/x-www-form-urlencoded", "text/html")
)


class Refusal(NamedTuple):
    """An answer on the wire, and what must be in the error."""

    wire: bytes
    error: str | None
    words: tuple[str, ...]
    hold: float = 30.0


def said(status: int, body: Any, *headers: str) -> bytes:
    """A JSON answer."""
    return reply(status, json.dumps(body).encode(), *(headers or (JSON,)))


KEYCLOAK = {"error": "unauthorized_client", "error_description": "Invalid client or Invalid client credentials"}
OKTA = {"errorCode": "E0000011", "errorSummary": "Invalid token provided", "errorId": "oaeX1", "errorCauses": []}
ENTRA = {
    "error": "invalid_client",
    "error_description": "AADSTS7000215: Invalid client secret provided.",
    "error_codes": [7000215],
    "trace_id": "0a1b-trace",
    "correlation_id": "0a1b-correlation",
}
APIGEE = {"fault": {"faultstring": "Invalid client identifier", "detail": {"errorcode": "oauth.v2.InvalidClient"}}}
SPRING = {"timestamp": "2026-01-01", "status": 404, "error": "Not Found", "path": "/oauth/token"}
PROBLEM = {"type": "https://as.example/p", "title": "Unauthorized", "detail": "No such client", "status": 401}
GITHUB = (
    b"error=incorrect_client_credentials&error_description=The+client_id+is+wrong&error_uri=https%3A%2F%2Fdocs.example"
)

REFUSALS = {
    "Keycloak": Refusal(said(401, KEYCLOAK), "unauthorized_client", ("Invalid client or", "Check client_secret")),
    "Auth0": Refusal(
        said(401, {"error": "access_denied", "error_description": "Unauthorized"}), "access_denied", ("Unauthorized",)
    ),
    "ServiceNow": Refusal(
        said(401, {"error": "server_error", "error_description": "access_denied"}), "server_error", ()
    ),
    "GitHub": Refusal(
        reply(200, GITHUB, FORM), "incorrect_client_credentials", ("answered 200", "The client_id is wrong")
    ),
    "Slack": Refusal(said(200, {"ok": False, "error": "invalid_client_id"}), "invalid_client_id", ("answered 200",)),
    "Okta": Refusal(said(401, OKTA), "E0000011", ("Invalid token provided", "errorId oaeX1")),
    "Entra": Refusal(said(401, ENTRA), "invalid_client", ("AADSTS7000215", "trace_id 0a1b-trace", "0a1b-correlation")),
    "Apigee": Refusal(said(401, APIGEE), "oauth.v2.InvalidClient", ("Invalid client identifier",)),
    "Google": Refusal(
        said(401, {"error": {"code": 401, "message": "Bad key", "status": "UNAUTHENTICATED"}}),
        "UNAUTHENTICATED",
        ("Bad key",),
    ),
    "Spring": Refusal(said(404, SPRING), None, ("Not Found", "/oauth/token", "Is token_endpoint"), 60.0),
    "problem+json": Refusal(
        said(401, PROBLEM, "Content-Type: application/problem+json"), None, ("No such client", "/oauth/token")
    ),
    "a gateway": Refusal(
        reply(403, b"<html>Access denied</html>", HTML, "Server: AkamaiGHost"),
        None,
        ("a gateway (AkamaiGHost)", "User-Agent", "m2m-auth/", "/oauth/token"),
    ),
    "a login page": Refusal(
        reply(302, b"", "Location: https://sso.example/login?state=canary"), None, ("to https://sso.example.",), 60.0
    ),
    "a limit as a date": Refusal(
        reply(403, b"", f"Retry-After: {formatdate(1_700_000_000 + 900, usegmt=True)}"), None, (), 900.0
    ),
    "a limit in seconds": Refusal(said(400, {"error": "slow_down"}, JSON, "Retry-After: 120"), "slow_down", (), 120.0),
    "nothing": Refusal(reply(403), None, ("Check client_id and client_secret", "/oauth/token")),
}


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("door", [m2m_auth.requests, m2m_auth.httpx], ids=lambda door: door.__name__)
def test_what_the_error_says(name: str, door: Any) -> None:
    """The code, the server's words, its support's ids, and a fix; the pause is the kind's, or the server's."""
    refusal, clock = REFUSALS[name], FakeClock()
    with Wire([refusal.wire]) as server:
        auth = door.M2MAuth(f"{server.base_url}/oauth/token", f"odd-{next(_clients)}", "s3cr3t-s3cr3t", clock=clock)
        with pytest.raises(TokenRequestRejected) as caught:
            auth.source.token()
    assert caught.value.error == refusal.error
    for words in refusal.words:
        assert words in str(caught.value)
    assert refusal.hold - 1 <= (caught.value.retry_after or 0) <= refusal.hold + 6
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("door", [m2m_auth.requests, m2m_auth.httpx], ids=lambda door: door.__name__)
def test_a_rotated_secret_passes_over_the_wire(door: Any) -> None:
    """keycloak#16923: 401 unauthorized_client; the callable has the new secret, and the call does not fail."""
    secrets = iter(["old-secret", "new-secret"])
    grant = {"access_token": "t1", "token_type": "Bearer", "expires_in": 300}
    with Wire([said(401, KEYCLOAK), said(200, grant)]) as server:
        auth = door.M2MAuth(f"{server.base_url}/token", f"odd-{next(_clients)}", lambda: next(secrets))
        assert auth.source.token().value == "t1"
    assert len(server.heads) == 2


def test_a_json_body_that_is_refused_says_so() -> None:
    """The request was JSON, and the server answers 415 in HTML or 400 with nothing."""
    for wire in (reply(415, b"", "Content-Type: application/json"), said(400, {"error": "invalid_request"})):
        with Wire([wire]) as server:
            auth = m2m_auth.requests.M2MAuth(
                f"{server.base_url}/token",
                f"odd-{next(_clients)}",
                "secret-1",
                grant=ClientCredentials(encoding="json"),
            )
            with pytest.raises(TokenUnavailable, match="The request's body was JSON"):
                auth.source.token()
