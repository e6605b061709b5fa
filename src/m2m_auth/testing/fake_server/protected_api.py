"""The fake protected API under ``/api/``: its answers, and the record of each call."""

from __future__ import annotations

import hashlib
import itertools
import json
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .http_server import BadRequest, ReceivedRequest, Reply, Wire
from .injected_failures import JSON


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiCall:
    """One call of the protected API. Its ``repr`` does not show the token.

    Attributes:
        method: the HTTP method.
        path: the path, without the query.
        query: the query, without the question mark.
        authorized: whether it had an ``Authorization`` header, valid or not.
        token: its bearer token, or None.
        body_length: the body's length in bytes, after chunked decoding.
        body_sha256: the body's SHA-256 in hex.
        headers: the HTTP headers, names in lower case.
        status: the status of the answer.
    """

    method: str
    path: str
    query: str
    authorized: bool
    token: str | None = field(repr=False)
    body_length: int
    body_sha256: str
    headers: Mapping[str, str] = field(repr=False)
    status: int


def bearer_token(request: ReceivedRequest) -> str | None:
    """The token of an ``Authorization: Bearer`` header, or None."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def api_answer(
    request: ReceivedRequest, status: int, challenge: str | Sequence[str] | None, headers: Sequence[tuple[str, str]]
) -> tuple[ApiCall, Reply]:
    """The answer to a call, and the record of it.

    ``status`` depends on the token. With 200, ``/api/redirect`` redirects. A 401 has one ``WWW-Authenticate`` for each
    ``challenge``.
    """
    digest = hashlib.sha256(request.body).hexdigest()
    headers = list(headers)
    if status == 401 and challenge is not None:
        challenges = [challenge] if isinstance(challenge, str) else challenge
        headers += [("WWW-Authenticate", each) for each in challenges]
    if status == 200 and request.path == "/api/redirect":
        query = _query(request)
        status = _number(query, "code", 307)
        headers.append(("Location", query.get("to", "/api/")))
    call = ApiCall(
        method=request.method,
        path=request.path,
        query=request.query,
        authorized="authorization" in request.headers,
        token=bearer_token(request),
        body_length=len(request.body),
        body_sha256=digest,
        headers=request.headers,
        status=status,
    )
    seen = {"method": request.method, "path": request.path, "body_length": len(request.body), "body_sha256": digest}
    return call, Reply(status, json.dumps(seen).encode(), (JSON, *headers))


def send_api_answer(request: ReceivedRequest, reply: Reply, wire: Wire) -> None:
    """Sends the answer. ``/api/stream`` streams the body, with a 401 as well: a client should not read that body."""
    if request.path != "/api/stream":
        wire.send(reply)
        return
    query = _query(request)
    chunk = b"." * _number(query, "size", 1024)
    chunks = itertools.repeat(chunk, _number(query, "chunks", 0)) if "chunks" in query else itertools.repeat(chunk)
    wire.stream(reply, chunks, interval=_number(query, "interval_ms", 10) / 1000)


def _query(request: ReceivedRequest) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(request.query))


def _number(query: dict[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal():
        raise BadRequest(f"{name}={text!r} is not a whole number")
    return int(text)
