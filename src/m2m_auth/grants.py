"""The grants: what a token request asks with (RFC 6749 §1.3). The client authentication is another matter."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from .errors import ConfigurationError

__all__ = ["ClientCredentials", "Grant"]


@runtime_checkable
class Grant(Protocol):
    """A grant on the one life cycle: names itself, and adds its parameters to the token request."""

    @property
    def grant_type(self) -> str:
        """The ``grant_type`` parameter."""
        ...

    @property
    def encoding(self) -> str:
        """``form`` or ``json``: how the request body is written."""
        ...

    def parameters(self) -> tuple[tuple[str, str], ...]:
        """The grant's own parameters, without ``grant_type``; part of the cache key."""
        ...


class ClientCredentials:
    """The client-credentials grant (RFC 6749 §4.4).

    Args:
        encoding: ``form`` as the RFC has it, or ``json`` for servers that want a JSON body.
    """

    grant_type = "client_credentials"

    def __init__(self, encoding: Literal["form", "json"] = "form") -> None:
        if encoding not in ("form", "json"):
            raise ConfigurationError(f"ClientCredentials: encoding={encoding!r} must be 'form' or 'json'")
        self.encoding = encoding

    def parameters(self) -> tuple[tuple[str, str], ...]:
        """None: the client authentication says it all."""
        return ()
