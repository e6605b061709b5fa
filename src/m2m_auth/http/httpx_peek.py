"""The beginning of an httpx response's body, read before the caller gets the response, which stays as it was.

Whether the caller streams is not known here. So no more than :data:`MAX_BODY` bytes are read, and they are put back in
front of the rest: ``read()``, ``iter_bytes()`` and ``iter_raw()`` give the whole body.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from ..oauth2.transport import MAX_BODY

__all__ = ["apeek", "peek"]


def peek(module: Any, response: Any) -> bytes:
    """The first MiB of the body, decoded; ``b""`` for events without end and for a response that is closed.

    Args:
        module: httpx or httpx2.
        response: a response of its ``Client``.
    """
    content = _content(module, response)
    if content is not None:
        return content
    start: list[bytes] = []
    rest = iter(response.stream)
    for chunk in rest:
        start.append(chunk)
        if sum(map(len, start)) >= MAX_BODY:
            break
    response.stream = _put_back(module)(response.stream, start, rest)
    return _decoded(module, response, start)


async def apeek(module: Any, response: Any) -> bytes:
    """The same for a response of its ``AsyncClient``."""
    content = _content(module, response)
    if content is not None:
        return content
    start: list[bytes] = []
    rest = aiter(response.stream)
    async for chunk in rest:
        start.append(chunk)
        if sum(map(len, start)) >= MAX_BODY:
            break
    response.stream = _put_back(module)(response.stream, start, rest)
    return _decoded(module, response, start)


def _content(module: Any, response: Any) -> bytes | None:
    """The body where there is nothing to read; None where its beginning can be read."""
    try:
        content: bytes = response.content
    except module.ResponseNotRead:
        events = "text/event-stream" in response.headers.get("Content-Type", "").lower()
        return b"" if events or response.is_closed or response.is_stream_consumed else None
    return content[:MAX_BODY]


def _decoded(module: Any, response: Any, start: list[bytes]) -> bytes:
    """What the caller will read, by a second response over the same bytes; empty if they cannot be decoded."""
    copy = module.Response(response.status_code, headers=response.headers, stream=module.ByteStream(b"".join(start)))
    body = bytearray()
    try:
        for chunk in copy.iter_bytes(65536):
            body += chunk
            if len(body) >= MAX_BODY:
                break
    except module.DecodingError:
        pass
    return bytes(body[:MAX_BODY])


def _put_back(module: Any) -> Any:
    """The class of a stream whose beginning has been read."""

    class PutBack(module.SyncByteStream, module.AsyncByteStream):  # type: ignore[misc]
        """The chunks that have been read, then the rest."""

        def __init__(self, stream: Any, start: list[bytes], rest: Any) -> None:
            self._stream = stream
            self._start = start
            self._rest = rest

        def __iter__(self) -> Iterator[bytes]:
            while self._start:
                yield self._start.pop(0)
            yield from self._rest

        async def __aiter__(self) -> AsyncIterator[bytes]:
            while self._start:
                yield self._start.pop(0)
            async for chunk in self._rest:
                yield chunk

        def close(self) -> None:
            self._stream.close()

        async def aclose(self) -> None:
            await self._stream.aclose()

    return PutBack
