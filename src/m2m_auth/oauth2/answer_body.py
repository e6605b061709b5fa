"""From the body of an answer to its fields: JSON (RFC 6749 §5.1) or a form, whatever the Content-Type says."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import parse_qsl

from .transport import HttpResponse

__all__ = ["answer_fields", "by_name", "media_type", "plain_name"]

# Strings: re compiles them when they are first used, which keeps the import cheap.
_MEDIA_TYPE = r"[a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,40}"
_ONLY_A_FORM = r"[\w.~-]+=[^\s<>\"'{}]*"
"""A body without this shape is a form only if its type says so: a page has such words, too."""
_MOST_FIELDS = 100
_LONGEST_INTEGER = 20


def _integer(text: str) -> float:
    """A whole number; Python refuses to read one of thousands of digits, and with it the whole answer."""
    return int(text) if len(text) <= _LONGEST_INTEGER else float(text)


_DECODER = json.JSONDecoder(strict=False, parse_int=_integer)
"""Reads line breaks inside of strings, too, which some servers put into descriptions."""


def media_type(response: HttpResponse) -> str | None:
    """The media type of the Content-Type (RFC 9110 §8.3.1), in lower case; None for anything that is not one."""
    found = response.headers.get("content-type", "").split(";")[0].strip().lower()
    return found if re.fullmatch(_MEDIA_TYPE, found) else None


def answer_fields(response: HttpResponse) -> dict[str, Any] | None:
    """Return the fields of an answer, good or bad; None if it is neither a JSON object nor a form. Nothing is raised.

    JSON is read under every type (servers send it as ``text/html``), in UTF-8 with or without a byte order mark, and in
    the charsets that begin as ASCII does; what follows it is ignored, of a list the first object counts, and of a JSON
    text the object inside: some servers encode twice. A form is read as ``application/x-www-form-urlencoded``, and
    under another type if the whole body is one.
    """
    text = _text(response.body)
    if text.startswith(("{", "[", '"')):
        return _json_object(text)
    if media_type(response) == "application/x-www-form-urlencoded" or re.fullmatch(_ONLY_A_FORM, text, re.ASCII):
        return _form(text)
    return None


def _text(body: bytes) -> str:
    """The body as text. JSON and forms are built of ASCII: a wrong guess of the charset spoils descriptions only."""
    try:
        text = body.decode(json.detect_encoding(body))
    except UnicodeDecodeError:
        text = body.decode("latin-1")
    return text.strip("\ufeff\x00 \t\r\n")


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        data, _ = _DECODER.raw_decode(text)
        if isinstance(data, str):
            data, _ = _DECODER.raw_decode(data)
    except (ValueError, RecursionError):
        return None
    if isinstance(data, list):
        data = next(iter(cast("list[object]", data)), None)
    return cast("dict[str, Any]", data) if isinstance(data, dict) else None


def _form(text: str) -> dict[str, Any] | None:
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)) or None
    except ValueError:
        return None


def plain_name(name: str) -> str:
    """A field's name without case and separators: ``expiresAt``, ``expires_at`` and ``Expires-At`` are one name."""
    return name.replace("_", "").replace("-", "").replace(".", "").lower()


def by_name(members: Mapping[str, Any]) -> dict[str, Any]:
    """The members by their plain names; of two with one name, the first that says something."""
    found: dict[str, Any] = {}
    for name, value in members.items():
        if found.get(plain_name(name)) in (None, ""):
            found[plain_name(name)] = value
    return found
