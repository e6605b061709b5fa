"""The protocol of a client authentication method (RFC 6749 §2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

from ...errors import ConfigurationError
from ..secrets import Secret

__all__ = ["ASSERTION_TYPE", "ClientAuthentication", "RequestCredentials", "required_secret"]

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""The ``client_assertion_type`` of a JWT (RFC 7523 §2.2)."""


class RequestCredentials(NamedTuple):
    """What a method adds to the token request; the repr hides it."""

    headers: Mapping[str, str]
    parameters: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        return "<RequestCredentials>"


@runtime_checkable
class ClientAuthentication(Protocol):
    """A client authentication method. Any object with these three names is one."""

    @property
    def method(self) -> str:
        """The name of the method with its options, a part of the cache key. It is no secret."""
        ...

    def credential(self, client_secret: Secret | None) -> bytes:
        """Return the client's secret material. The key that seals cache values is derived from it.

        Raises:
            ConfigurationError: the method lacks something, e.g. a client_secret.
        """
        ...

    def authenticate(
        self, client_id: str, client_secret: Secret | None, token_endpoint: str, now: float
    ) -> RequestCredentials:
        """Return the headers and parameters of one token request at Unix time ``now``, in seconds."""
        ...


def required_secret(client_secret: Secret | None, method: str) -> Secret:
    """Return the client secret that a method needs. Raise ConfigurationError if there is none."""
    if client_secret is None:
        raise ConfigurationError(
            f"client_secret is missing, and client_authentication={method!r} needs it. "
            "Fix: pass client_secret=, a string or a callable that returns it"
        )
    return client_secret
