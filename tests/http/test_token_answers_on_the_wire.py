"""Answers that hold a good token in a form that an HTTP library trips over: none of them costs a mint."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import GRANT, HEAD, WHOLE, ScriptedServer, answers, private, send, users_client

from m2m_auth.http.response_bodies import decoded
from m2m_auth.http.transports import as_transport
from m2m_auth.oauth2.transport import MAX_BODY

pytestmark = pytest.mark.loopback

RAW = zlib.compressobj(wbits=-15)
DEFLATED = RAW.compress(GRANT) + RAW.flush()
ZIPPED = gzip.compress(GRANT)
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(GRANT), GRANT)


def coded(body: bytes, coding: bytes) -> bytes:
    """An answer that says this coding."""
    return HEAD + b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s" % (coding, len(body), body)


ODD = {
    "early hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n" + WHOLE,
    "continue, processing and hints": b"".join(
        b"HTTP/1.1 %d X\r\nA: b\r\n\r\n" % status for status in (100, 102, 103, 103)
    )
    + WHOLE,
    "gzip": coded(ZIPPED, b"gzip"),
    "x-gzip (urllib3#3174)": coded(ZIPPED, b"x-gzip"),
    "gzip, twice": coded(gzip.compress(ZIPPED), b"gzip, gzip"),
    "gzip that is not said": coded(ZIPPED, b"identity"),
    "gzip that is none": coded(GRANT, b"gzip"),
    "gzip without its end": coded(ZIPPED[:-8], b"gzip"),
    "deflate with zlib's frame": coded(zlib.compress(GRANT), b"deflate"),
    "deflate without it": coded(DEFLATED, b"deflate"),
    "deflate that is none": coded(GRANT, b"deflate"),
    "a coding that does not exist": coded(GRANT, b"utf-8"),
    "a length that is too long, closed": HEAD + b"Content-Length: 999\r\n\r\n" + GRANT,
    "chunks without an end, closed": CHUNKED,
    "chunks with garbage behind": CHUNKED + b"garbage\r\n\r\n",
    "no length": HEAD + b"\r\n" + GRANT,
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\n" + GRANT,
    "names in capitals": WHOLE.replace(b"Content-", b"CONTENT-"),
}
HELD = {
    "a length that is too long, held": HEAD + b"Content-Length: 999\r\n\r\n" + GRANT,
    "chunks without an end, held": CHUNKED,
    "no length, held": HEAD + b"\r\n" + GRANT,
}


@pytest.fixture(params=["private", "the user's"])
def transport(request: pytest.FixtureRequest, library: str) -> Iterator[Any]:
    """The private transport of each library, and the one over a user's own session or client."""
    if request.param == "private":
        yield private(library)
        return
    with users_client(library) as client:
        yield as_transport(client)


@pytest.mark.parametrize("name", [*ODD, *HELD])
def test_the_token_is_read(transport: Any, name: str) -> None:
    """Its bytes are all there, so it is used; where the connection is held, without a wait."""
    close = name in ODD
    with ScriptedServer(answers(ODD.get(name) or HELD[name], close=close)) as server:
        response = send(transport, server.url, 20.0)
    assert (response.status, response.body) == (200, GRANT)
    assert b"accept-encoding: identity" in server.requests[0].lower()


def test_a_bomb(transport: Any) -> None:
    """A few kilobytes that stand for a gigabyte are a mebibyte here."""
    bomb = gzip.compress(b" " * 50_000_000)
    with ScriptedServer(answers(coded(bomb, b"gzip"))) as server:
        assert len(send(transport, server.url, 20.0).body) == MAX_BODY


@given(st.binary(max_size=300), st.sampled_from(["", "gzip", "x-gzip", "deflate", "br", "gzip, deflate"]))
def test_any_bytes_are_read(body: bytes, coding: str) -> None:
    """Nothing is raised; what begins as a JSON object stays as it is."""
    assert len(decoded(body, coding)) <= MAX_BODY
    assert decoded(b"{" + body, coding) == b"{" + body


@given(st.binary(max_size=300), st.sampled_from([31, 15, -15]))
def test_what_was_compressed_is_read(body: bytes, window: int) -> None:
    """In all three formats."""
    text = b'{"a": "' + body.hex().encode() + b'"}'
    compressor = zlib.compressobj(wbits=window)
    assert decoded(compressor.compress(text) + compressor.flush(), "deflate" if window < 16 else "x-gzip") == text
