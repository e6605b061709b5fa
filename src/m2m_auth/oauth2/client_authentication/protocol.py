"""The protocol of a client authentication method (RFC 6749 §2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

from ...errors import ConfigurationError
from ..secrets import Secret

__all__ = ["ASSERTION_TYPE", "ClientAuthentication", "RequestCredentials"]

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""What ``client_assertion_type`` says for a JWT (RFC 7523 §2.2)."""


class RequestCredentials(NamedTuple):
    """What a method adds to the token request. Its repr shows none of it."""

    headers: Mapping[str, str]
    parameters: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        return "<RequestCredentials>"


@runtime_checkable
class ClientAuthentication(Protocol):
    """A client authentication method. Write your own: the engine only uses these three."""

    @property
    def method(self) -> str:
        """What tells this method, with its options, from others; part of the cache key. Never a secret."""
        ...

    def credential(self, client_secret: Secret | None) -> bytes:
        """The client's secret material: cache values are sealed with a key derived from it.

        Raises ConfigurationError if the method lacks something, e.g. a client_secret.
        """
        ...

    def authenticate(
        self, client_id: str, client_secret: Secret | None, token_endpoint: str, now: float
    ) -> RequestCredentials:
        """Headers and parameters for one token request at Unix time ``now``."""
        ...


def _needed(client_secret: Secret | None, method: str) -> Secret:
    if client_secret is None:
        raise ConfigurationError(
            f"client_secret is missing, and client_authentication={method!r} needs it. "
            "Fix: pass client_secret=, a string or a callable that returns it"
        )
    return client_secret
