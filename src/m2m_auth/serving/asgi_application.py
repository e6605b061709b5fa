"""A service as an ASGI application (3.0)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .http_messages import MAX_BODY, Answer, Request, Service, answered

__all__ = ["asgi"]

_DRAINED = 16
"""A body up to this many times the limit is read and dropped: many clients send it all before they read an answer."""

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_AsgiApp = Callable[[MutableMapping[str, Any], _Receive, _Send], Awaitable[None]]


def asgi(service: Service, *, max_body: int = MAX_BODY, threads: int = 40) -> _AsgiApp:
    """An ASGI application of this service, for uvicorn, hypercorn or a mount. The service runs in worker threads.

    Args:
        service: the service.
        max_body: the largest request body that is read, in bytes.
        threads: the number of requests that one event loop answers at once. The service has its own limit on threads,
            so a slow authorization server does not use up the threads of the application's other endpoints.
    """
    from anyio import CapacityLimiter
    from anyio.lowlevel import RunVar
    from anyio.to_thread import run_sync

    limiters: RunVar[CapacityLimiter] = RunVar("m2m_auth.serving")

    async def answer(request: Request) -> Answer:
        try:
            limiter = limiters.get()
        except LookupError:  # the first request of this event loop
            limiter = CapacityLimiter(threads)
            limiters.set(limiter)
        return await run_sync(answered, service, request, limiter=limiter)

    async def application(scope: MutableMapping[str, Any], receive: _Receive, send: _Send) -> None:
        """The ASGI application."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            await _respond(answer, scope, receive, send, max_body)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})

    return application


async def _live(receive: _Receive, send: _Send) -> None:
    while True:
        event = (await receive())["type"]
        await send({"type": f"{event}.complete"})
        if event == "lifespan.shutdown":
            return


async def _respond(
    answering: Callable[[Request], Awaitable[Answer]],
    scope: MutableMapping[str, Any],
    receive: _Receive,
    send: _Send,
    max_body: int,
) -> None:
    body, size, more = bytearray(), 0, True
    while more and size <= _DRAINED * max_body:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        piece = message.get("body", b"")
        size += len(piece)
        if size <= max_body:
            body += piece
        more = message.get("more_body", False)
    answer = await answering(_from_scope(scope, bytes(body), size > max_body))
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    if answer.status != 204:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _from_scope(scope: MutableMapping[str, Any], body: bytes, too_large: bool) -> Request:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    root = scope.get("root_path", "").rstrip("/")
    path: str = scope["path"]
    mounted = root and (path == root or path.startswith(root + "/"))
    return Request(
        method=scope["method"],
        path=path[len(root) :] if mounted else path,
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=headers,
        body=b"" if too_large else body,
        too_large=too_large,
        address=(scope.get("client") or ("", 0))[0],
        scheme=scope.get("scheme", "http"),
        native=scope,
    )
