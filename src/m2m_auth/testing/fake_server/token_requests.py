"""Reads a token request: its parameters, and which client it claims to come from (RFC 6749 §2.3.1, §3.2)."""

from __future__ import annotations

import base64
import binascii
import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from .http_server import Reply, Request
from .injected_failures import INVALID_CLIENT, error_reply

BasicEncoding: TypeAlias = Literal["percent", "raw"]

# Only these two may be repeated: RFC 8707 §2 and RFC 8693 §2.1; RFC 6749 §3.2 forbids it for all others.
_REPEATABLE = ("resource", "audience")


class Refused(Exception):
    """The request gets this error answer instead of a token."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


@dataclass(frozen=True)
class Claim:
    """Who a request says it comes from; ``verify`` says whether that is so. Has no repr of its secret."""

    client_id: str
    method: str
    _secret: str | None

    def __repr__(self) -> str:
        return f"Claim({self.client_id!r}, {self.method!r})"

    def verify(self, clients: Mapping[str, str]) -> None:
        """Raises Refused unless this client is known and the secret is its own."""
        if self._secret is None or clients.get(self.client_id) != self._secret:
            raise Refused(INVALID_CLIENT)


def invalid_request(description: str) -> Refused:
    """The refusal of RFC 6749 §5.2 for a request that is not one."""
    return Refused(error_reply(400, "invalid_request", description))


def read_parameters(request: Request) -> dict[str, Any]:
    """The members of a form or of a JSON object; raises Refused where it is neither."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        text = request.body.decode()
        if kind == "application/json":
            members = json.loads(text)
            if not isinstance(members, dict):
                raise invalid_request("the JSON body is not an object")
            return cast("dict[str, Any]", members)
        if kind != "application/x-www-form-urlencoded":
            raise invalid_request("the body is neither a form nor JSON")
        pairs = urllib.parse.parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict")
    except ValueError:
        raise invalid_request("the body cannot be read") from None
    parameters: dict[str, Any] = {}
    for name, value in pairs:
        if name not in parameters:
            parameters[name] = value
        elif name in _REPEATABLE:
            earlier = parameters[name]
            parameters[name] = [*earlier, value] if isinstance(earlier, list) else [earlier, value]
        else:
            raise invalid_request(f"the parameter {name} is repeated")
    return parameters


def read_claim(request: Request, parameters: Mapping[str, Any], encoding: BasicEncoding) -> Claim:
    """Who the request says it comes from; raises Refused where it says nothing, or two things at once."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    posted, secret = parameters.get("client_id"), parameters.get("client_secret")
    if scheme.lower() == "basic":
        user, password = _read_basic(credentials.strip(), encoding)
        if secret is not None or posted not in (None, user):
            raise invalid_request("more than one client authentication")
        return Claim(user, "client_secret_basic", password)
    if secret is not None:
        return Claim(str(posted), "client_secret_post", str(secret))
    assertion = parameters.get("client_assertion")
    if isinstance(assertion, str):
        return Claim(str(posted or _subject(assertion)), "private_key_jwt", None)
    if posted is None:
        raise Refused(INVALID_CLIENT)
    return Claim(str(posted), "none", None)


def _read_basic(credentials: str, encoding: BasicEncoding) -> tuple[str, str]:
    try:
        user, colon, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise Refused(INVALID_CLIENT) from None
    if not colon:
        raise Refused(INVALID_CLIENT)
    if encoding == "raw":
        return user, password
    return urllib.parse.unquote(user), urllib.parse.unquote(password)


def _subject(assertion: str) -> str:
    """The ``sub`` of a JWT that nobody has verified: this server only records it."""
    try:
        payload = assertion.split(".")[1]
        return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"])
    except (IndexError, KeyError, TypeError, ValueError):
        raise Refused(INVALID_CLIENT) from None
