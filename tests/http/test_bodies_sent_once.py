"""A body that cannot be sent again is never sent empty: the caller gets the 401, and the next call is good."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest
from bodies import CONTENT, Liar, Pipe, refused_then_sent
from callers import Caller, clients

from m2m_auth.testing import FakeAuthorizationServer


def generator() -> Iterator[bytes]:
    """A body that can be read once."""
    yield CONTENT[:1000]
    yield CONTENT[1000:]


async def async_generator() -> AsyncIterator[bytes]:
    """The same for async clients."""
    for chunk in generator():
        yield chunk


class AsyncFile:
    """An async file like those of anyio and trio: seekable() is a function, tell() and seek() are coroutines."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return async_generator()

    def seekable(self) -> bool:
        """True."""
        return True

    async def tell(self) -> int:
        """The position; calling it without awaiting it is a warning, and so an error of the test."""
        await anyio.sleep(0)
        return 0


SYNC_BODIES: dict[str, Callable[[], Any]] = {
    "generator": generator,
    "iterator": lambda: iter([CONTENT[:1000], CONTENT[1000:]]),
    "pipe": Pipe,
    "liar": lambda: Liar(CONTENT),
}
ASYNC_BODIES: dict[str, Callable[[], Any]] = {"generator": async_generator, "file": AsyncFile}


def once_only(caller: Caller, server: FakeAuthorizationServer, api: str, **body: Any) -> None:
    """Posts with a revoked token, and checks: sent once, the 401 returned, and the next call is good."""
    server.revoke_all()
    answer = caller.post(api, **body)
    assert (answer.status, answer.statuses) == (401, [])
    assert len(server.api_calls) == 1
    assert server.api_calls[0].body_length > 0
    assert caller.get(api).status == 200
    assert [call.status for call in server.api_calls] == [401, 200]
    assert server.mints == 2


@clients("requests", "httpx")
@pytest.mark.parametrize("kind", SYNC_BODIES)
def test_a_body_that_is_gone_is_never_sent_empty(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any, kind: str
) -> None:
    """Generators and streams that do not rewind: the caller gets the 401, and the next call gets a new token."""
    once_only(caller, server, api, content=SYNC_BODIES[kind]())


@clients("httpx-asyncio", "httpx2-trio")
@pytest.mark.parametrize("kind", ASYNC_BODIES)
def test_an_async_body_that_is_gone_is_never_sent_empty(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any, kind: str
) -> None:
    """The same for async generators and async files, on asyncio and trio."""
    once_only(caller, server, api, content=ASYNC_BODIES[kind]())


@clients("httpx-asyncio", "httpx2-trio")
def test_a_real_async_file_is_sent(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any, file: Any
) -> None:
    """anyio's files, whose tell() is a coroutine, are sent and not replayed."""
    once_only(caller, server, api, content=anyio.wrap_file(file))


def test_a_pipe_in_a_multipart_form_is_never_sent_empty(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any
) -> None:
    """httpx streams a form's files: one that does not rewind is not replayed. requests reads it into memory."""
    body = {"files": {"upload": ("name.bin", Pipe())}}
    if caller.library.__name__ == "requests":
        refused_then_sent(caller, server, api, **body)
    else:
        once_only(caller, server, api, **body)


@clients("requests", "httpx")
def test_a_file_closed_by_its_last_read(caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any) -> None:
    """A body that closes itself cannot be rewound; the call does not fail for it."""

    class Closing(io.BytesIO):
        """Closes itself at its end."""

        def read(self, size: int | None = -1, /) -> bytes:
            """Reads the next bytes; at the end the file is closed."""
            data = b"" if self.closed else super().read(size)
            if not data:
                self.close()
            return data

    once_only(caller, server, api, content=Closing(CONTENT), headers={"Content-Length": str(len(CONTENT))})


@clients("requests", "httpx")
def test_a_named_pipe_is_sent_once(caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any) -> None:
    """An operating system's pipe, whose tell() fails, is sent as it is and never again."""
    reader, writer = os.pipe()
    os.write(writer, b"through a pipe")
    os.close(writer)
    # httpx would take the length of a pipe, which is 0, for that of the body.
    headers = {} if caller.library.__name__ == "requests" else {"Content-Length": "14"}
    with os.fdopen(reader, "rb") as pipe:
        once_only(caller, server, api, content=pipe, headers=headers)


def test_a_spooled_file_is_replayed_or_refused_whole(
    caller: Caller, server: FakeAuthorizationServer, api: str, auth: Any
) -> None:
    """tempfile's spooled files (an upload that a web framework took in) are never sent empty in a form."""
    with tempfile.SpooledTemporaryFile() as spooled:
        spooled.write(CONTENT)
        spooled.seek(0)
        server.revoke_all()
        caller.post(api, files={"upload": ("name.bin", spooled)})
    assert all(call.body_length > len(CONTENT) for call in server.api_calls)
