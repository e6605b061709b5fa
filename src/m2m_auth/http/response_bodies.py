"""Reads the body of a response until it is complete, and decodes it by its own first bytes.

A token that is there is not thrown away because of a wrong ``Content-Encoding`` or ``Content-Length``.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator

from ..oauth2.transport import MAX_BODY
from .exchange_deadline import ExchangeDeadline

__all__ = ["OutOfTime", "body_of", "decoded"]

_LAYERS = 3
"""A body is decoded at most this many times."""
_GZIP, _ZLIB, _RAW_DEFLATE = 31, 15, -15
"""The window sizes by which zlib knows the three formats."""


class OutOfTime(Exception):
    """The deadline passed before the body was there."""


def body_of(
    chunks: Iterator[bytes], coding: str, deadline: ExchangeDeadline, broken: tuple[type[Exception], ...]
) -> bytes:
    """The decoded body, :data:`MAX_BODY` bytes of it at most.

    A JSON object ends where its last brace is: what should follow by the headers is not waited for.

    Args:
        chunks: the body's bytes as they come from the connection.
        coding: the ``Content-Encoding``.
        deadline: the exchange's.
        broken: what ``chunks`` raises where the connection breaks. It is raised again if the body is not complete.

    Raises:
        OutOfTime: the deadline passed first.
    """
    body = bytearray()
    try:
        for chunk in chunks:
            body += chunk
            if len(body) > MAX_BODY or _is_whole(body):
                break
            if deadline.has_passed or deadline.remaining() < 0.002:
                raise OutOfTime
    except broken:
        if not _is_whole(decoded(bytes(body), coding)):
            raise
    if deadline.has_passed and not _is_whole(decoded(bytes(body), coding)):
        raise OutOfTime  # a connection that was shut down looks like a body's end
    return decoded(bytes(body[:MAX_BODY]), coding)


def _is_whole(body: bytes | bytearray) -> bool:
    """Whether the bytes are a complete JSON object. None is the beginning of a longer one."""
    if not body.rstrip().endswith(b"}"):
        return False
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


def decoded(body: bytes, coding: str) -> bytes:
    """The body without gzip and deflate, by its own first bytes (RFC 9110 §8.4.1); others stay as they are.

    ``gzip`` and ``x-gzip`` are one coding. ``deflate`` is with or without zlib's frame. A body that begins as text is
    text, whatever ``coding`` says. A damaged end does not spoil what stands before it.
    """
    for _ in range(_LAYERS):
        if body[:2] == b"\x1f\x8b":
            plain = _inflated(body, _GZIP)
        elif body[:1] == b"x" and len(body) > 1 and int.from_bytes(body[:2], "big") % 31 == 0:
            plain = _inflated(body, _ZLIB)
        elif "deflate" in coding.lower() and not _begins_as_text(body):
            plain = _inflated(body, _RAW_DEFLATE)
        else:
            return body
        if not plain:
            return body
        body = plain
    return body


def _begins_as_text(body: bytes) -> bool:
    return body.lstrip()[:1] in (b"{", b"[", b"<", b"") or body.startswith(b"\xef\xbb\xbf")


def _inflated(body: bytes, window: int) -> bytes:
    """What can be decompressed, :data:`MAX_BODY` bytes at most: a few bytes may stand for gigabytes."""
    plain = bytearray()
    while body and len(plain) < MAX_BODY:
        inflater, place = zlib.decompressobj(window), 0
        try:
            for place in range(len(body)):  # byte by byte: zlib gives up what it has of a piece with an error
                plain += inflater.decompress(body[place : place + 1], MAX_BODY - len(plain))
                if inflater.eof or len(plain) >= MAX_BODY:
                    break
        except zlib.error:
            break
        if not inflater.eof or window != _GZIP:
            break
        body = body[place + 1 :]  # a gzip file may have several members
    return bytes(plain)
