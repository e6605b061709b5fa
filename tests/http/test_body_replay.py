"""A request's body after its token was refused: it is sent again whole, or not at all."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import pytest
from bodies import CONTENT, START, refused_then_sent
from callers import SYNC, Caller, clients

from m2m_auth.testing import FakeAuthorizationServer


def sha256(data: bytes) -> str:
    """As the server records it."""
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    "body",
    [
        {"content": CONTENT},
        {"content": "text, ünïcode".encode()},
        {"content": "text"},
        {"json": {"a": [1, 2, "ü"]}},
        {"form": {"a": "b", "c": "d e"}},
        {"files": {"upload": ("name.bin", CONTENT, "application/x")}},
    ],
    ids=["bytes", "utf-8", "str", "json", "form", "multipart"],
)
def test_bodies_in_memory_are_sent_again(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any, body: dict[str, Any]
) -> None:
    """Bytes, text, JSON, forms and multipart parts are replayed as they were."""
    refused_then_sent(caller, server, api, **body)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
def test_other_methods_too(caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any, method: str) -> None:
    """The method and the query survive the replay."""
    server.revoke_all()
    assert caller.send(method, api + "?a=b&a=c", headers={"X-Own": "1"}).status == 200
    assert [(call.method, call.query, call.headers["x-own"]) for call in server.api_calls] == [
        (method, "a=b&a=c", "1")
    ] * 2


def test_a_multipart_file_that_was_read_from(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any, file: Any
) -> None:
    """requests sends a form's file from its position, httpx from its beginning; the replay does the same."""
    refused_then_sent(caller, server, api, files={"upload": ("name.bin", file)})


@clients(*SYNC)
def test_a_file_is_rewound_to_where_it_started(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any, file: Any
) -> None:
    """A file that stood at an offset is replayed from that offset, not from its beginning."""
    rest = CONTENT[START:]
    # httpx itself announces the whole file's length, whatever the offset.
    refused_then_sent(caller, server, api, content=file, headers={"Content-Length": str(len(rest))})
    assert server.api_calls[1].body_sha256 == sha256(rest)


@clients(*SYNC)
@pytest.mark.parametrize("start", [0, START])
def test_a_stream_in_memory_is_rewound(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any, start: int
) -> None:
    """The same for io.BytesIO, from its beginning and from an offset."""
    body = io.BytesIO(CONTENT)
    body.seek(start)
    rest = CONTENT[start:]
    refused_then_sent(caller, server, api, content=body, headers={"Content-Length": str(len(rest))})
    assert server.api_calls[1].body_sha256 == sha256(rest)
