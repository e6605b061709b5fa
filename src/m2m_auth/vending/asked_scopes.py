"""The scopes that a request asks for, in its body: a form or JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qsl

from ..serving import Request
from ..serving.http_messages import ErrorAnswer

__all__ = ["asked_scopes"]

_LARGEST = 4096
"""The largest body, in bytes. A list of scopes is shorter."""


def asked_scopes(request: Request, allowed: Collection[str]) -> tuple[str, ...]:
    """The scopes that the request names, sorted, each once. If only one is allowed, the request need not name it.

    Raises:
        ErrorAnswer: the body cannot be read, or a scope is not allowed.
    """
    text = _scope(request)
    if text is None:
        if len(allowed) != 1:
            raise ErrorAnswer(400, "invalid_scope", "Name the scopes that the token is for, in the parameter scope.")
        return tuple(allowed)
    asked = tuple(sorted({name for name in text.split(" ") if name}))
    if not asked or not set(asked) <= set(allowed):
        raise ErrorAnswer(400, "invalid_scope", "A scope is missing or not allowed.")
    return asked


def _scope(request: Request) -> str | None:
    """The parameter ``scope``, or None. Unknown parameters are ignored (RFC 6749 §3.2)."""
    if request.too_large or len(request.body) > _LARGEST:
        raise ErrorAnswer(413, "invalid_request", "The body is too large.")
    if not request.body:
        return None
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if media_type == "application/json":
            pairs = _json_pairs(request.body)
        elif media_type == "application/x-www-form-urlencoded":
            pairs = parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True)
        else:
            raise ErrorAnswer(415, "invalid_request", "Send a form or JSON.")
    except (ValueError, RecursionError):
        raise ErrorAnswer(400, "invalid_request", "The body cannot be read.") from None
    found = [value for name, value in pairs if name == "scope"]
    if len(found) > 1:
        raise ErrorAnswer(400, "invalid_request", "The parameter scope is repeated.")
    if found and (not isinstance(found[0], str) or not re.fullmatch(r"[\x20-\x7e]*", found[0])):
        raise ErrorAnswer(400, "invalid_scope", "The parameter scope is a string of names separated by spaces.")
    return found[0] if found else None


class _Members(list[tuple[str, Any]]):
    """The members of a JSON object, repeated ones included."""


def _json_pairs(body: bytes) -> list[tuple[str, Any]]:
    members = json.loads(body, object_pairs_hook=_Members)
    if not isinstance(members, _Members):
        raise ValueError("not an object")  # noqa: TRY004 - one error for every bad body
    return members
