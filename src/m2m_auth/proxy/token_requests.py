"""A token request as it arrives (RFC 6749 §4.4.2): a form or a JSON object, and the client's credentials (§2.3.1).

Reading looks nothing up. A repeated parameter is an error, a parameter without a value counts as absent, and unknown
parameters are kept (§3.2).
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import secrets
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from ..oauth2.secrets import Secret, encodable
from ..runtime.bounded_map import BoundedMap
from ..serving import Request
from ..serving.http_messages import ErrorAnswer
from .allow_lists import AllowedRequest
from .secret_verifiers import SecretVerifiers

__all__ = ["ParsedRequest", "RequestReader", "RequestReading", "parse"]

_MOST_PARAMETERS = 64
_REPEATABLE = "resource"
"""The one parameter that may be repeated (RFC 8707 §2)."""
_LONGEST_ID = 201
"""Characters of a client id that are read. A configured id is shorter."""
_Pairs = list[tuple[str, Any]]


class ParsedRequest(NamedTuple):
    """A well-formed token request."""

    client_id: str
    secret: Secret
    parameters: Mapping[str, str]
    """All parameters but the grant type, the credentials and the resources."""
    resources: tuple[str, ...]


class RequestReading:
    """A parsed request with the MAC of its secret and, once it is checked, what the vendor may have."""

    __slots__ = ("allowed", "client_id", "mac", "parsed")

    def __init__(self, client_id: str, parsed: ParsedRequest, mac: bytes) -> None:
        self.client_id, self.parsed, self.mac = client_id, parsed, mac
        self.allowed: AllowedRequest | None = None
        """None until the request is checked against the vendor's allow-lists."""


class RequestReader:
    """Parses requests, and remembers those that were served, so that an equal request is not parsed again.

    Args:
        verifiers: make the MAC of a secret.
        capacity: the number of requests that are remembered. Their secrets are checked every time.
    """

    def __init__(self, verifiers: SecretVerifiers, capacity: int) -> None:
        self._verifiers = verifiers
        self._key = secrets.token_bytes(32)
        self._served: BoundedMap[bytes, RequestReading] = BoundedMap(capacity)

    def read(self, request: Request) -> tuple[bytes, list[RequestReading]]:
        """The request's digest and its readings: two if its credentials can be read in two ways.

        Raises:
            ErrorAnswer: it is not a token request, or asks for another grant, or has no credentials.
        """
        digest = self._digest(request)
        served = self._served.get(digest)
        if served is not None:
            return digest, [served]
        mac = self._verifiers.mac
        return digest, [
            RequestReading(one.client_id[:_LONGEST_ID], one, mac(one.client_id, one.secret)) for one in parse(request)
        ]

    def remember(self, digest: bytes, reading: RequestReading) -> None:
        """Remembers the reading by which the request was served."""
        self._served.set(digest, reading)

    def _digest(self, request: Request) -> bytes:
        """A keyed digest of the whole request, its secret included."""
        headers = request.headers
        kind, credentials = headers.get("content-type", ""), headers.get("authorization", "")
        head = f"{len(kind)} {len(credentials)} {request.too_large} {kind}{credentials}"
        # blake2b keeps the GIL for so few bytes. hmac.digest releases it, which costs far more than the digest.
        return blake2b(head.encode("utf-8", "surrogatepass") + request.body, key=self._key, digest_size=32).digest()


def parse(request: Request) -> list[ParsedRequest]:
    """The request with its credentials: once, or twice if the credentials can be read in two ways.

    Raises:
        ErrorAnswer: it is not a token request, or asks for another grant, or has no credentials.
    """
    if request.too_large:
        raise ErrorAnswer(413, "invalid_request", "The request body is too large")
    pairs = _pairs(request)
    if len(pairs) > _MOST_PARAMETERS:
        raise _invalid("There are too many parameters")
    parameters: dict[str, str] = {}
    resources: list[str] = []
    for name, value in pairs:
        if name == _REPEATABLE:
            resources += _texts(value)
        elif name in parameters:
            raise _invalid("A parameter is repeated (RFC 6749 3.2)")
        else:
            parameters[name] = _text(name, value)
    parameters = {name: value for name, value in parameters.items() if value}
    grant = parameters.pop("grant_type", None)
    if grant is None:
        raise _invalid("The parameter grant_type is missing")
    if grant != "client_credentials":
        raise ErrorAnswer(400, "unsupported_grant_type", "Only grant_type=client_credentials is supported")
    credentials = _credentials(request.headers.get("authorization"), parameters)
    given = tuple(resource for resource in resources if resource)
    return [ParsedRequest(client_id, secret, parameters, given) for client_id, secret in credentials]


def _invalid(description: str) -> ErrorAnswer:
    return ErrorAnswer(400, "invalid_request", description)


def _pairs(request: Request) -> _Pairs:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if media_type == "application/x-www-form-urlencoded":
            return _form(request.body)
        if media_type == "application/json":
            return _object(request.body)
    except (ValueError, RecursionError):
        pass
    else:
        raise _invalid("The Content-Type must be application/x-www-form-urlencoded or application/json")
    raise _invalid(f"The body is not what its Content-Type says: {media_type}")


def _form(body: bytes) -> _Pairs:
    """The fields of a form. Raises ValueError if it is not UTF-8."""
    pairs: _Pairs = []
    for field in body.decode().split("&"):
        if field:
            name, _, value = field.partition("=")
            pairs.append((_decoded(name), _decoded(value)))
    return pairs


def _decoded(text: str) -> str:
    """Decodes application/x-www-form-urlencoded (RFC 6749, Appendix B)."""
    return unquote_plus(text, errors="strict") if "%" in text or "+" in text else text


def _object(body: bytes) -> _Pairs:
    seen: list[_Pairs] = []

    def keep(pairs: _Pairs) -> dict[str, Any]:
        seen.append(pairs)  # a dict would hide repeated members; the outermost object comes last
        return dict(pairs)

    if not isinstance(json.loads(body.decode(), object_pairs_hook=keep), dict):
        raise ValueError("not an object")  # noqa: TRY004 - one error for every bad body
    return seen[-1]


def _text(name: str, value: object) -> str:
    """A parameter's value. null in JSON counts as absent, because simple clients send it."""
    if value is None:
        return ""
    if name == "scope" and type(value) is list:
        value = " ".join(_texts(value))  # pyright: ignore[reportUnknownArgumentType]
    if not isinstance(value, str) or not encodable(value):
        raise _invalid("Every parameter must be a string")
    return value


def _texts(value: Any) -> list[str]:
    return [_text("", each) for each in (value if type(value) is list else [value])]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _credentials(authorization: str | None, parameters: dict[str, str]) -> list[tuple[str, Secret]]:
    """The client id and the secret, from the header or the body (RFC 6749 §2.3.1); removes both from ``parameters``."""
    client_id, posted = parameters.pop("client_id", None), parameters.pop("client_secret", None)
    if "client_assertion" in parameters or "client_assertion_type" in parameters:
        raise _unauthenticated("A client assertion is not supported. Use a client secret")
    if authorization is None:
        if client_id is None or posted is None:
            raise _unauthenticated("There are no client credentials in the request")
        return [(client_id, Secret(posted))]
    if posted is not None:
        raise _invalid("The client authenticates twice: by its Authorization header and in the body")
    readings = [reading for reading in _basic(authorization) if client_id in (None, reading[0])]
    if not readings:
        raise _invalid("The client_id in the body is not the one in the Authorization header")
    return readings


def _basic(authorization: str) -> list[tuple[str, Secret]]:
    """HTTP Basic, form-decoded as §2.3.1 says, and also as it stands, because many clients do not encode."""
    scheme, _, encoded = authorization.partition(" ")
    readings: dict[tuple[str, Secret], None] = {}
    if scheme.lower() == "basic":
        with contextlib.suppress(binascii.Error, ValueError):
            user, _, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
            with contextlib.suppress(ValueError):
                readings[_decoded(user), Secret(_decoded(password))] = None
            readings[user, Secret(password)] = None
    found = [(user, secret) for user, secret in readings if user and secret.reveal_bytes()]
    if not found:
        raise _unauthenticated("The Authorization header is not HTTP Basic with a client id and a secret")
    return found


def _unauthenticated(description: str) -> ErrorAnswer:
    return ErrorAnswer(401, "invalid_client", description)
