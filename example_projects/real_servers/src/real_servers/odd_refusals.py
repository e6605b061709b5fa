"""How token endpoints in the field refuse: a client whose secret was rotated, and a client that asks too often."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from .odd_http import Asked, OddServer, Reply, plain_token


@dataclass(frozen=True)
class OddRefusal:
    """What a server says to a wrong secret.

    Args:
        who: the server.
        report: where it is reported or documented.
        status: the HTTP status.
        body: the body; bytes are HTML.
        says: words of the server that the error must repeat.
    """

    who: str
    report: str
    status: int
    body: Any
    says: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def reply(self) -> Reply:
        """The refusal."""
        return Reply(self.body, self.status, self.headers)

    def token(self, server: OddServer, asked: Asked) -> Reply:
        """A token for the secret `new`, else the refusal."""
        return plain_token(server, asked) if asked.secret == "new" else self.reply()


WRONG_SECRET = [
    OddRefusal(
        "Keycloak",
        "keycloak/keycloak#16923",
        401,
        {"error": "unauthorized_client", "error_description": "Invalid client or Invalid client credentials"},
        ("unauthorized_client", "Invalid client or Invalid client credentials"),
    ),
    OddRefusal(
        "Keycloak before 22",
        "keycloak/keycloak#11741",
        400,
        {"error": "invalid_client", "error_description": "Invalid client credentials"},
        ("invalid_client", "Invalid client credentials"),
    ),
    OddRefusal(
        "Auth0",
        "auth0/node-auth0#582",
        401,
        {"error": "access_denied", "error_description": "Unauthorized"},
        ("access_denied", "Unauthorized"),
    ),
    OddRefusal(
        "ServiceNow",
        "ServiceNow's users: server_error with access_denied",
        401,
        {"error_description": "access_denied", "error": "server_error"},
        ("server_error", "access_denied"),
    ),
    OddRefusal(
        "GitHub",
        "GitHub's documentation: incorrect_client_credentials",
        200,
        {
            "error": "incorrect_client_credentials",
            "error_description": "The client_id and/or client_secret passed are incorrect.",
        },
        ("incorrect_client_credentials", "passed are incorrect"),
    ),
    OddRefusal(
        "Slack",
        "MicrosoftDocs/azure-docs#86162, Slack's documentation of oauth.v2.access",
        200,
        {"ok": False, "error": "bad_client_secret"},
        ("bad_client_secret",),
    ),
    OddRefusal(
        "Okta's gateway",
        "Okta's documentation of error codes",
        401,
        {
            "errorCode": "E0000011",
            "errorSummary": "Invalid token provided",
            "errorLink": "E0000011",
            "errorId": "oaeY4x",
        },
        ("Invalid token provided", "oaeY4x"),
    ),
    OddRefusal(
        "Entra ID",
        "Microsoft's documentation: AADSTS7000215",
        401,
        {
            "error": "invalid_client",
            "error_description": "AADSTS7000215: Invalid client secret provided.",
            "trace_id": "0000aaaa-11bb-cccc-dd22-eeeeee333333",
            "correlation_id": "aaaa0000-bb11-2222-33cc-444444dddddd",
        },
        ("AADSTS7000215", "0000aaaa-11bb-cccc-dd22-eeeeee333333", "aaaa0000-bb11-2222-33cc-444444dddddd"),
    ),
    OddRefusal(
        "Apigee",
        "Apigee's documentation of faults",
        401,
        {
            "fault": {
                "faultstring": "Invalid client identifier abc",
                "detail": {"errorcode": "oauth.v2.InvalidClientIdentifier"},
            }
        },
        ("Invalid client identifier abc",),
    ),
    OddRefusal(
        "an API of FastAPI",
        "FastAPI's documentation: HTTPException",
        401,
        {"detail": "Incorrect client id or secret"},
        ("Incorrect client id or secret",),
    ),
    OddRefusal(
        "RFC 9457 problems",
        "RFC 9457 §3",
        403,
        {"type": "about:blank", "title": "The client is not known here", "status": 403},
        ("The client is not known here",),
        {"Content-Type": "application/problem+json"},
    ),
    OddRefusal(
        "AWS",
        "AWS API Gateway's documentation: gateway responses",
        403,
        {"message": "Forbidden for this client"},
        ("Forbidden for this client",),
    ),
    OddRefusal(
        "JSON:API style",
        "home-grown servers",
        401,
        {"errors": [{"code": 17, "message": "Client secret was rotated"}]},
        ("Client secret was rotated",),
    ),
    OddRefusal(
        "error_message",
        "home-grown servers",
        401,
        {"error_message": "Secret does not match"},
        ("Secret does not match",),
    ),
    OddRefusal(
        "Google's APIs",
        "Google's AIP-193",
        401,
        {"error": {"code": 401, "message": "Request had invalid credentials", "status": "UNAUTHENTICATED"}},
        ("Request had invalid credentials",),
    ),
    OddRefusal(
        "Zoom",
        "Zoom's documentation of errors",
        400,
        {"reason": "Invalid client_id or client_secret", "error": "invalid_client"},
        ("invalid_client",),
    ),
    OddRefusal(
        "GitHub, form-encoded",
        "GitHub's documentation: the Accept header decides",
        200,
        b"error=incorrect_client_credentials&error_description=The+client_id+is+incorrect",
        ("incorrect_client_credentials", "The client_id is incorrect"),
        {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
    ),
    OddRefusal(
        "Taboola, XML",
        "Taboola's documentation: client credentials",
        401,
        b"<BadClientCredentialsException><error>invalid_client</error></BadClientCredentialsException>",
        (),
        {"Content-Type": "application/xml"},
    ),
    OddRefusal(
        "words without a code",
        "home-grown servers",
        401,
        {"error_description": "The client is locked"},
        ("The client is locked",),
    ),
    OddRefusal("errors as words", "home-grown servers", 400, {"errors": ["Bad client secret"]}, ("Bad client secret",)),
    OddRefusal(
        "an error that is a number", "home-grown servers", 401, {"error": 401, "message": "No entry"}, ("No entry",)
    ),
    OddRefusal(
        "an empty token beside the error",
        "home-grown servers",
        200,
        {"access_token": "", "error": "invalid_client", "error_description": "Secret has expired"},
        ("invalid_client", "Secret has expired"),
    ),
    OddRefusal("a bare 401", "RFC 6749 §5.2 left out", 401, b""),
    OddRefusal("HTML 401", "Tomcat, nginx", 401, b"<html><title>401</title></html>"),
    OddRefusal("unknown code", "home-grown servers", 400, {"error": "wrong_password"}, ("wrong_password",)),
]
"""A rotated secret, in each server's words."""


@dataclass(frozen=True)
class Throttle:
    """How a server says when to come back.

    Args:
        name: a short name.
        report: where it is reported or documented.
        status: the HTTP status.
        headers: from the server's time and the seconds to wait to the headers.
    """

    name: str
    report: str
    status: int
    headers: Callable[[float, int], Mapping[str, str]]

    def token(self, wait: int) -> Callable[[OddServer, Asked], Reply]:
        """A token endpoint that always asks to wait so many seconds."""
        return lambda server, asked: Reply({"error": "slow_down"}, self.status, self.headers(server.now(), wait))


def _seconds(name: str) -> Callable[[float, int], Mapping[str, str]]:
    return lambda now, wait: {name: str(wait)}


THROTTLES = [
    Throttle("429 Retry-After", "RFC 6585 §4", 429, _seconds("Retry-After")),
    Throttle("503 Retry-After", "RFC 9110 §10.2.3, urllib3/urllib3#955", 503, _seconds("Retry-After")),
    Throttle("403 Retry-After", "GitHub's documentation: secondary rate limits", 403, _seconds("Retry-After")),
    Throttle("400 Retry-After", "ntwitter's users: avianflu/ntwitter#38", 400, _seconds("Retry-After")),
    Throttle("a date", "RFC 9110 §10.2.3", 429, lambda now, wait: {"Retry-After": formatdate(now + wait, usegmt=True)}),
    Throttle(
        "X-Rate-Limit-Reset",
        "Okta's documentation",
        429,
        lambda now, wait: {"X-Rate-Limit-Reset": str(int(now + wait))},
    ),
    Throttle(
        "X-RateLimit-Reset",
        "Auth0's RateLimitEncountered",
        429,
        lambda now, wait: {"X-RateLimit-Reset": str(int(now + wait))},
    ),
    Throttle("RateLimit-Reset", "gitlab-org/gitlab#20482", 429, _seconds("RateLimit-Reset")),
    Throttle("X-RateLimit-Reset in seconds", "developer.sepay.vn", 429, _seconds("X-RateLimit-Reset")),
    Throttle("429 in lower case", "RFC 9110 §5.1", 429, _seconds("retry-after")),
    Throttle(
        "RateLimit of an older draft",
        "draft-ietf-httpapi-ratelimit-headers-07",
        429,
        lambda now, wait: {"RateLimit": f"limit=100, remaining=0, reset={wait}"},
    ),
    Throttle(
        "RateLimit",
        "draft-ietf-httpapi-ratelimit-headers",
        429,
        lambda now, wait: {"RateLimit": f'"default";r=0;t={wait}'},
    ),
]
"""Servers that say when to come back."""
