"""What is asked for: the scopes in a request's body, form or JSON; and what is answered to who gets nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qsl

from ..serving import Answer, Request

__all__ = ["Refused", "asked_scopes"]

_LARGEST = 4096
"""Bytes: a list of scopes is shorter."""


class Refused(Exception):
    """Why a caller gets no token: ends a request with this answer (members as in RFC 6749 §5.2)."""

    def __init__(self, status: int, error: str, description: str, *headers: tuple[str, str]) -> None:
        super().__init__(description)
        self.status, self.error, self.headers = status, error, headers

    @property
    def answer(self) -> Answer:
        """The answer; its words are fixed, so nothing of the request or of the upstream server is in it."""
        return Answer.json(self.status, {"error": self.error, "error_description": str(self)}, *self.headers)


def asked_scopes(request: Request, allowed: Collection[str]) -> tuple[str, ...]:
    """The scopes that the request names, sorted, each once; where only one is allowed, it need not be named.

    Raises:
        Refused: the body cannot be read, or a scope is not allowed.
    """
    text = _scope(request)
    if text is None:
        if len(allowed) != 1:
            raise Refused(400, "invalid_scope", "Name the scopes that the token is for, in the parameter scope.")
        return tuple(allowed)
    asked = tuple(sorted({name for name in text.split(" ") if name}))
    if not asked or not set(asked) <= set(allowed):
        raise Refused(400, "invalid_scope", "A scope is missing or is not for sale here.")
    return asked


def _scope(request: Request) -> str | None:
    """The parameter ``scope``; unknown ones are ignored (RFC 6749 §3.2)."""
    if request.too_large or len(request.body) > _LARGEST:
        raise Refused(413, "invalid_request", "The body is too large.")
    if not request.body:
        return None
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if media_type == "application/json":
            pairs = _json_pairs(request.body)
        elif media_type == "application/x-www-form-urlencoded":
            pairs = parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True)
        else:
            raise Refused(415, "invalid_request", "Send a form or JSON.")
    except (ValueError, RecursionError):
        raise Refused(400, "invalid_request", "The body cannot be read.") from None
    found = [value for name, value in pairs if name == "scope"]
    if len(found) > 1:
        raise Refused(400, "invalid_request", "The parameter scope comes twice.")
    if found and (not isinstance(found[0], str) or not re.fullmatch(r"[\x20-\x7e]*", found[0])):
        raise Refused(400, "invalid_scope", "The parameter scope is a string of names separated by spaces.")
    return found[0] if found else None


class _Members(list[tuple[str, Any]]):
    """A JSON object's members, repeated ones too."""


def _json_pairs(body: bytes) -> list[tuple[str, Any]]:
    members = json.loads(body, object_pairs_hook=_Members)
    if not isinstance(members, _Members):
        raise ValueError("not an object")  # noqa: TRY004 - one error for all that is not one
    return members
