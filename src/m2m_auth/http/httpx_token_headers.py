"""A header with a token, other than Authorization, in httpx: it must not go along with a redirect to another origin.

httpx and httpx2 follow redirects below their auth. At a foreign one they copy the headers and drop ``Authorization``
from the copy, by its name in lower case. So the name in lower case that this header is filed under is equal to
``authorization``, too; on the wire, and to code that looks it up or lists it, it has its own name.
"""

from __future__ import annotations

from typing import Any

from ..errors import ConfigurationError

__all__ = ["dropped_with_authorization"]


class _Name(bytes):
    """The header's name as it is sent."""

    def lower(self) -> bytes:
        return _FiledUnder(super().lower())

    def __reduce__(self) -> tuple[Any, ...]:
        return bytes, (bytes(self),)


class _FiledUnder(bytes):
    """The name in lower case, which equals ``authorization``, too."""

    def lower(self) -> bytes:
        return self

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) or other == b"authorization"

    __hash__ = bytes.__hash__

    def __reduce__(self) -> tuple[Any, ...]:
        return bytes, (bytes(self),)


def dropped_with_authorization(headers_class: Any, headers: Any, name: str, value: str) -> Any:
    """New headers with this one in place of any other of its name.

    Args:
        headers_class: ``Headers`` of httpx or httpx2.
        headers: the request's headers.
        name: the header's name.
        value: its value.

    Raises:
        ConfigurationError: a release of the library files headers in another way, and could send it elsewhere.
    """
    raw = name.encode()
    others = [(key, each) for key, each in headers.raw if key.lower() != raw.lower()]
    made = headers_class([*others, (_Name(raw), value.encode())], encoding=headers.encoding)
    copy = headers_class(made)
    copy.pop("Authorization", None)
    if name in copy:
        raise ConfigurationError(
            f"header={name!r} would go along with redirects to other hosts in this release of the HTTP library. "
            "Fix: the header Authorization, or m2m_auth.requests"
        )
    return made
