"""What the fake server remembers of what it was sent. A ``repr`` never shows a secret or a token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ApiCall", "RecordedRequest"]

_SECRET_PARAMETERS = frozenset(
    {"assertion", "client_assertion", "client_secret", "password", "refresh_token", "subject_token", "actor_token"}
)


@dataclass(eq=False)
class RecordedRequest:
    """One request to the token endpoint, kept when it arrives: also if it is then refused or never answered.

    Attributes:
        time: when it arrived, Unix time in seconds, on the server's ``clock`` if it has one.
        method: the HTTP method.
        client_id: the client it claims to be, or None.
        client_authentication: how it authenticated: ``client_secret_basic``, ``client_secret_post``,
            ``private_key_jwt``, ``none``, or None if it could not be read.
        parameters: the form's or the JSON body's members; a repeated form parameter is a list.
        headers: the HTTP headers, names in lower case.
        status: the status answered; None while nothing was answered, and for ``hang`` and ``reset``.
    """

    time: float
    method: str
    client_id: str | None
    client_authentication: str | None
    parameters: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    status: int | None = None

    def __repr__(self) -> str:
        shown = {name: "***" if name in _SECRET_PARAMETERS else value for name, value in self.parameters.items()}
        return (
            f"RecordedRequest({self.method}, client_id={self.client_id!r}, parameters={shown!r}, "
            f"client_authentication={self.client_authentication!r}, status={self.status})"
        )


@dataclass(frozen=True)
class ApiCall:
    """One call of the fake protected resource.

    Attributes:
        method: the HTTP method.
        path: the path, without the query.
        query: the query, without the question mark.
        authorized: whether there was an ``Authorization`` header, good or bad.
        token: the bearer token it carried, or None; not shown by ``repr``.
        body_length: the body's length in bytes, after chunked decoding.
        body_sha256: the body's SHA-256 in hex.
        headers: the HTTP headers, names in lower case; not shown by ``repr``.
        status: the status answered.
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
