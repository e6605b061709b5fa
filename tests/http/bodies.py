"""Bodies, and what the server must have seen of one whose token was refused."""

from __future__ import annotations

import io
from typing import Any

from callers import Caller

from m2m_auth.testing import FakeAuthorizationServer

CONTENT = bytes(range(256)) * 700
START = 1000


class Pipe(io.RawIOBase):
    """A stream that cannot be rewound, like a socket or a pipe."""

    def __init__(self) -> None:
        super().__init__()
        self._inner = io.BytesIO(CONTENT)

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Reads the next bytes."""
        return self._inner.readinto(buffer)


class Liar(io.BytesIO):
    """A stream that claims to be seekable and is not."""

    def seek(self, *_: Any) -> int:
        """Raises, like a stream over a closed connection."""
        raise OSError("not any more")


def refused_then_sent(caller: Caller, server: FakeAuthorizationServer, api: str, **body: Any) -> None:
    """Posts with a revoked token, and checks that the replay carried the whole body of the first attempt."""
    server.revoke_all()
    answer = caller.post(api, **body)
    assert (answer.status, answer.statuses) == (200, [401])
    first, second = server.api_calls
    assert (first.body_length, first.body_sha256) == (second.body_length, second.body_sha256)
    assert first.headers.get("content-type") == second.headers.get("content-type")
    assert first.body_length > 0
