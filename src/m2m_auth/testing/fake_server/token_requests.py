"""A token request: its parameters, its client (RFC 6749 §2.3.1, §3.2), and the record of it."""

from __future__ import annotations

import base64
import binascii
import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast

from .http_server import ReceivedRequest, Reply
from .injected_failures import INVALID_CLIENT, error_reply

BasicEncoding: TypeAlias = Literal["percent", "raw"]

# A request may repeat only these two: RFC 8707 §2 and RFC 8693 §2.1; RFC 6749 §3.2 forbids it for all others.
_REPEATABLE = ("resource", "audience")


_SECRET_PARAMETERS = frozenset(
    {"assertion", "client_assertion", "client_secret", "password", "refresh_token", "subject_token", "actor_token"}
)


@dataclass(eq=False, kw_only=True, slots=True)
class RecordedRequest:
    """One request to the token endpoint, recorded when it arrives, whether or not it gets a token or an answer.

    Its ``repr`` shows no secret.

    Attributes:
        time: when it arrived, Unix time in seconds, on the server's ``clock`` if it has one.
        method: the HTTP method.
        client_id: the client id that it names, or None.
        client_authentication: the method of client authentication: ``client_secret_basic``, ``client_secret_post``,
            ``private_key_jwt``, ``none``, or None if it could not be read.
        parameters: the form's or the JSON body's members; a repeated form parameter is a list.
        headers: the HTTP headers, names in lower case.
        status: the status of the answer; None before the answer, and for ``hang`` and ``reset``.
    """

    time: float
    method: str
    client_id: str | None
    client_authentication: str | None
    parameters: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    status: int | None = None

    def __repr__(self) -> str:
        shown = {name: "***" if name in _SECRET_PARAMETERS else value for name, value in self.parameters.items()}
        return (
            f"RecordedRequest({self.method}, client_id={self.client_id!r}, parameters={shown!r}, "
            f"client_authentication={self.client_authentication!r}, status={self.status})"
        )


class RequestRefused(Exception):
    """The request gets an error answer instead of a token."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


@dataclass(frozen=True)
class Claim:
    """The client that a request names, before :meth:`verify` checks the secret. ``repr`` does not show the secret."""

    client_id: str
    method: str
    _secret: str | None

    def __repr__(self) -> str:
        return f"Claim({self.client_id!r}, {self.method!r})"

    def verify(self, clients: Mapping[str, str]) -> None:
        """Raises RequestRefused unless the client is registered with this secret."""
        if self._secret is None or clients.get(self.client_id) != self._secret:
            raise RequestRefused(INVALID_CLIENT)


def invalid_request(description: str) -> RequestRefused:
    """The error ``invalid_request`` of RFC 6749 §5.2."""
    return RequestRefused(error_reply(400, "invalid_request", description))


def read_parameters(request: ReceivedRequest) -> dict[str, Any]:
    """The members of a form or a JSON object. Raises RequestRefused for any other body."""
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


def read_claim(request: ReceivedRequest, parameters: Mapping[str, Any], encoding: BasicEncoding) -> Claim:
    """The client of a request. Raises RequestRefused if it names none, or authenticates in two ways."""
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
        raise RequestRefused(INVALID_CLIENT)
    return Claim(str(posted), "none", None)


def _read_basic(credentials: str, encoding: BasicEncoding) -> tuple[str, str]:
    try:
        user, colon, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise RequestRefused(INVALID_CLIENT) from None
    if not colon:
        raise RequestRefused(INVALID_CLIENT)
    if encoding == "raw":
        return user, password
    return urllib.parse.unquote(user), urllib.parse.unquote(password)


def _subject(assertion: str) -> str:
    """The ``sub`` of a JWT. This server records it and does not verify the signature."""
    try:
        payload = assertion.split(".")[1]
        return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"])
    except (IndexError, KeyError, TypeError, ValueError):
        raise RequestRefused(INVALID_CLIENT) from None
