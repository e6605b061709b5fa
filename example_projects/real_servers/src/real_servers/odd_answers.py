"""What token endpoints in the field send with a token, where it is not what RFC 6749 §5.1 says: one row each.

`report` is where the row comes from: a public report as owner/repository#number, or the vendor's documentation.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from .odd_http import OddServer, Reply, zipped

UNTOLD = 17
"""Mints in an hour where no lifetime is told: 300 s are assumed, and a token is renewed after 225 s at the earliest."""


@dataclass(frozen=True)
class OddAnswer:
    """One way to answer with a token.

    Args:
        name: a short name, for the table and the test's id.
        who: servers that do it.
        report: where it is reported or documented.
        reply: from the server and the new token to the answer.
        mints: how many mints an hour with a call a minute costs at most; the token lives for an hour.
        fails: True if the token may not be used, so every call fails.
        scope: the scopes that the client asks for.
        options: further options of the client, such as `answers=`.
    """

    name: str
    who: str
    report: str
    reply: Callable[[OddServer, str], Reply]
    mints: int = 2
    fails: bool = False
    scope: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def token(self, server: OddServer, asked: object) -> Reply:
        """The answer to a token request."""
        return self.reply(server, server.mint())


def _json(status: int = 200, leave_out: str = "", **members: Any) -> Callable[[OddServer, str], Reply]:
    """A good answer, with these members changed or left out."""

    def reply(server: OddServer, token: str) -> Reply:
        body = {"access_token": token, "token_type": "Bearer", "expires_in": int(server.lifetime), **members}
        return Reply({name: value for name, value in body.items() if name not in leave_out.split()}, status)

    return reply


def _ends_at(name: str, write: Callable[[float], Any]) -> Callable[[OddServer, str], Reply]:
    """An answer that tells the end of the token, not its length."""

    def reply(server: OddServer, token: str) -> Reply:
        return Reply({"access_token": token, "token_type": "Bearer", name: write(server.now() + server.lifetime)})

    return reply


def _rfc3339(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def _form(server: OddServer, token: str) -> Reply:
    body = urlencode({"access_token": token, "token_type": "bearer", "expires_in": int(server.lifetime)})
    return Reply(body.encode(), 200, {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"})


def _raw(media_type: str, before: bytes = b"", after: bytes = b"") -> Callable[[OddServer, str], Reply]:
    """A good JSON body under another media type, with bytes around it."""

    def reply(server: OddServer, token: str) -> Reply:
        body = before + json.dumps(_json()(server, token).body).encode() + after
        return Reply(body, 200, {"Content-Type": media_type})

    return reply


def _twice(server: OddServer, token: str) -> Reply:
    return Reply(
        json.dumps(json.dumps(_json()(server, token).body)).encode(), 200, {"Content-Type": "application/json"}
    )


def _early_hints(server: OddServer, token: str) -> Reply:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\n\r\n"
    return Reply(_json()(server, token).body, interim=hints)


def _interim(server: OddServer, token: str) -> Reply:
    interim = b"HTTP/1.1 102 Processing\r\n\r\n" + b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n" * 2
    return Reply(_json()(server, token).body, interim=interim)


def _passed(server: OddServer, token: str) -> Reply:
    return Reply({"access_token": token, "token_type": "Bearer", "expires_at": int(server.now() - 100)})


ANSWERS = [
    OddAnswer(
        "201 Created", "Harvest, Ostrom, Supabase", "pow-auth/assent#112, openhab/openhab-core#5284", _json(status=201)
    ),
    OddAnswer("203 from a proxy", "caching proxies", "RFC 9110 §15.3.4", _json(status=203)),
    OddAnswer("BearerToken", "Apigee", "DuendeArchive/Support#1413", _json(token_type="BearerToken")),
    OddAnswer("no token_type", "teiid's users' servers", "teiid/teiid#779", _json(leave_out="token_type")),
    OddAnswer(
        "null token_type", "home-grown servers", "googleapis/google-api-nodejs-client#43", _json(token_type=None)
    ),
    OddAnswer("empty token_type", "home-grown servers", "postmanlabs/postman-runtime#398", _json(token_type="")),
    OddAnswer(
        "type, not token_type",
        "Elasticsearch",
        "elastic/elasticsearch#33106",
        _json(leave_out="token_type", type="Bearer"),
    ),
    OddAnswer("lower case bearer", "Spring Security, Marketo", "Marketo's documentation", _json(token_type="bearer")),
    OddAnswer(
        "BEARER and a space", "home-grown servers", "RFC 6749 §5.1: the case is free", _json(token_type="BEARER ")
    ),
    OddAnswer(
        "scopes with commas", "GitHub, Slack", "GitHub's documentation", _json(scope="write,read"), scope="read write"
    ),
    OddAnswer(
        "scopes as a list", "Twitch", "Twitch's documentation", _json(scope=["write", "read"]), scope="read write"
    ),
    OddAnswer("null scope", "home-grown servers", "RFC 6749 §5.1", _json(scope=None), scope="read write"),
    OddAnswer(
        "more scope", "Marketo", "Marketo's documentation", _json(scope="read apis@acme write"), scope="read write"
    ),
    OddAnswer("empty scope", "home-grown servers", "RFC 6749 §5.1", _json(scope=""), scope="read write"),
    OddAnswer(
        "no lifetime", "Salesforce", "OpenAPITools/openapi-generator#2561", _json(leave_out="expires_in"), UNTOLD
    ),
    OddAnswer("lifetime null", "Salesforce", "forcedotcom/wsc#360", _json(expires_in=None), UNTOLD),
    OddAnswer("lifetime 0", "VK: never expires", "spring-attic/spring-security-oauth#738", _json(expires_in=0), UNTOLD),
    OddAnswer(
        "lifetime -1", "home-grown servers", "lucadegasperi/oauth2-server-laravel#505", _json(expires_in=-1), UNTOLD
    ),
    OddAnswer("lifetime empty", "home-grown servers", "authgear/authgear-server#235", _json(expires_in=""), UNTOLD),
    OddAnswer(
        "lifetime in words", "home-grown servers", "authgear/authgear-server#235", _json(expires_in="1h"), UNTOLD
    ),
    OddAnswer("lifetime a list", "home-grown servers", "RFC 6749 §5.1", _json(expires_in=[3600]), UNTOLD),
    OddAnswer("lifetime true", "home-grown servers", "RFC 6749 §5.1", _json(expires_in=True), UNTOLD),
    OddAnswer("lifetime beyond all numbers", "home-grown servers", "RFC 8259 §6", _json(expires_in=1e300)),
    OddAnswer("an end that has passed", "a server with a wrong clock", "RFC 6749 §5.1", _passed, UNTOLD),
    OddAnswer("error null", "Slack", "Slack's documentation", _json(ok=True, error=None)),
    OddAnswer("error empty", "home-grown servers", "RFC 6749 §5.2", _json(error="", error_description="")),
    OddAnswer("lifetime as a string", "Apigee, Azure", "authgear/authgear-server#235", _json(expires_in="3600")),
    OddAnswer("lifetime with spaces", "home-grown servers", "authgear/authgear-server#235", _json(expires_in=" 3600 ")),
    OddAnswer("lifetime 3600.0", "home-grown servers", "authgear/authgear-server#235", _json(expires_in=3600.0)),
    OddAnswer(
        "expires_on",
        "Azure App Service",
        "AzureAD/microsoft-authentication-library-for-python#519",
        _ends_at("expires_on", lambda end: str(int(end))),
    ),
    OddAnswer(
        "expires_at, Unix time",
        "Authlib's stores",
        "AzureAD/microsoft-authentication-library-for-python#519",
        _ends_at("expires_at", int),
    ),
    OddAnswer(
        "expires_at, RFC 3339",
        "home-grown servers",
        "Azure/azure-sdk-for-python#5972",
        _ends_at("expires_at", _rfc3339),
    ),
    OddAnswer("expires", "Facebook", "golang/oauth2#38", _ends_at("expires", int)),
    OddAnswer(
        "expires_on, App Service on Windows",
        "Azure App Service's managed identities",
        "Azure App Service's documentation of the API version 2017-09-01",
        _ends_at("expires_on", lambda end: time.strftime("%m/%d/%Y %I:%M:%S %p +00:00", time.gmtime(end))),
    ),
    OddAnswer("expiration", "IBM Cloud IAM", "IBM's documentation", _ends_at("expiration", int)),
    OddAnswer("expiresAt", "home-grown servers", "RFC 6749 §5.1", _ends_at("expiresAt", int)),
    OddAnswer("JSON in a JSON text", "gateways that encode twice", "RFC 8259", _twice),
    OddAnswer("form-encoded", "GitHub, Facebook", "golang/oauth2#782", _form),
    OddAnswer("JSON as text/plain", "old gateways", "RFC 6749 §5.1", _raw("text/plain")),
    OddAnswer("JSON as text/html", "PHP without a header", "RFC 6749 §5.1", _raw("text/html; charset=UTF-8")),
    OddAnswer(
        "JSON with a byte order mark",
        ".NET without a setting",
        "RFC 8259 §8.1",
        _raw("application/json", b"\xef\xbb\xbf"),
    ),
    OddAnswer(
        "JSON with a line before and after", "old gateways", "RFC 8259 §2", _raw("application/json", b"\r\n", b"\n\n")
    ),
    OddAnswer("vendor's media type", "Spring HATEOAS", "RFC 6838 §4.2.8", _raw("application/vnd.acme.v1+json")),
    OddAnswer("103 Early Hints first", "content delivery networks", "notatallshaw/nab#1130", _early_hints),
    OddAnswer("102, 103 and 103 first", "content delivery networks", "RFC 9110 §15.2", _interim),
    OddAnswer(
        "x-gzip", "old gateways", "urllib3/urllib3#3174", lambda server, token: zipped(_json()(server, token), "x-gzip")
    ),
    OddAnswer("gzip", "gateways", "RFC 9110 §8.4.1.3", lambda server, token: zipped(_json()(server, token))),
    OddAnswer(
        "a refresh token too", "bshaffer's server", "RFC 6749 §4.4.3", _json(refresh_token="dropped-refresh-token")
    ),
    OddAnswer(
        "DPoP without a proof", "Okta's new service apps", "RFC 9449 §5", _json(token_type="DPoP"), 7, fails=True
    ),
    OddAnswer("mac", "RFC 6749 §7.1's other type", "RFC 6749 §7.1", _json(token_type="mac"), 7, fails=True),
]
"""Every row. The two that fail do so because the token may not be sent as a Bearer token."""
