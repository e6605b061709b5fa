"""A token request as it came in (RFC 6749 §4.4.2, §2.3.1): its parameters, and who says that it is whom.

Nothing is looked up here. A form or a JSON object; a parameter that stands there twice is an error, one without a
value counts as absent, unknown ones are kept for whoever may know them (§3.2).
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from ..oauth2.secrets import Secret, encodable
from ..serving import Request
from .responses import Refused

__all__ = ["Asked", "read"]

_MOST_PARAMETERS = 64
_REPEATABLE = "resource"
"""The one parameter that may stand there more than once (RFC 8707 §2)."""
_Pairs = list[tuple[str, Any]]


class Asked(NamedTuple):
    """A token request in good form."""

    client_id: str
    secret: Secret
    parameters: Mapping[str, str]
    """Without grant type, credentials and resources."""
    resources: tuple[str, ...]


def read(request: Request) -> list[Asked]:
    """What a request asks for, and with which credentials: once, or twice where those can be read in two ways.

    Raises:
        Refused: it is not a token request, or not one that can be served: no credentials, another grant.
    """
    if request.too_large:
        raise Refused(413, "invalid_request", "The request body is too large")
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
        raise Refused(400, "unsupported_grant_type", "Only grant_type=client_credentials is served here")
    credentials = _credentials(request.headers.get("authorization"), parameters)
    given = tuple(resource for resource in resources if resource)
    return [Asked(client_id, secret, parameters, given) for client_id, secret in credentials]


def _invalid(description: str) -> Refused:
    return Refused(400, "invalid_request", description)


def _pairs(request: Request) -> _Pairs:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if media_type == "application/x-www-form-urlencoded":
            return _form(request.body)
        if media_type == "application/json":
            return _object(request.body)
    except (ValueError, RecursionError):  # never with the text in it
        pass
    else:
        raise _invalid("The Content-Type must be application/x-www-form-urlencoded or application/json")
    raise _invalid(f"The body is not what its Content-Type says: {media_type}")


def _form(body: bytes) -> _Pairs:
    """Raises ValueError for what is not UTF-8."""
    pairs: _Pairs = []
    for field in body.decode().split("&"):
        if field:
            name, _, value = field.partition("=")
            pairs.append((_decoded(name), _decoded(value)))
    return pairs


def _decoded(text: str) -> str:
    """application/x-www-form-urlencoded, undone (RFC 6749, Appendix B)."""
    return unquote_plus(text, errors="strict") if "%" in text or "+" in text else text


def _object(body: bytes) -> _Pairs:
    seen: list[_Pairs] = []

    def keep(pairs: _Pairs) -> dict[str, Any]:
        seen.append(pairs)  # a dict would hide what is repeated; the outermost object comes last
        return dict(pairs)

    if not isinstance(json.loads(body.decode(), object_pairs_hook=keep), dict):
        raise ValueError("not an object")  # noqa: TRY004 - one error for all that is not one
    return seen[-1]


def _text(name: str, value: object) -> str:
    """A parameter's value; None is an absent one, as simple clients write it in JSON."""
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
    """The client id and the secret, by one way of the two (RFC 6749 §2.3.1); both are taken out of ``parameters``."""
    client_id, posted = parameters.pop("client_id", None), parameters.pop("client_secret", None)
    if "client_assertion" in parameters or "client_assertion_type" in parameters:
        raise _unauthenticated("A client assertion is not taken here: use a client secret")
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
    """Form-encoded, as §2.3.1 has it, and where that is something else as it stands: many clients do not encode."""
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


def _unauthenticated(description: str) -> Refused:
    return Refused(401, "invalid_client", description)
