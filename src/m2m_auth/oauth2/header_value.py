"""The value of the header that carries a token: it leaves no process except on the wire.

A response holds its request, and the request holds this header. Process pools, task queues and caches of responses
pickle and copy them. So the value is the token wherever it is sent, and ``Bearer [redacted]`` in every copy.
"""

from __future__ import annotations

from typing import Any

__all__ = ["HeaderValue"]


class HeaderValue(str):
    """A header's value that HTTP libraries take as the str it is. Its repr, pickle and deep copy are redacted."""

    __slots__ = ("_bytes",)
    _bytes: _HeaderBytes

    def __new__(cls, text: str) -> HeaderValue:
        """The value and its bytes, made once for each token."""
        value = super().__new__(cls, text)
        value._bytes = _HeaderBytes(str.encode(text))
        return value

    @property
    def redacted(self) -> str:
        """What a copy reads: the scheme, and no token."""
        scheme, space, _ = self.rpartition(" ")
        return f"{scheme}{space}[redacted]"

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:  # noqa: ARG002
        """For libraries that keep bytes: redacted in the same way. A token is ASCII, so every encoding is the same."""
        return self._bytes

    def __repr__(self) -> str:
        return repr(self.redacted)

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (self.redacted,)


class _HeaderBytes(bytes):
    """The value as httpx keeps it."""

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """For the library's reads of its own headers."""
        return HeaderValue(super().decode(encoding, errors))

    def __repr__(self) -> str:
        return repr(HeaderValue(super().decode()).redacted.encode())

    __str__ = __repr__

    def __reduce__(self) -> tuple[Any, ...]:
        return bytes, (HeaderValue(super().decode()).redacted.encode(),)
