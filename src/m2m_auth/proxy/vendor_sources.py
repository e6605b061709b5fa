"""What a token source is found by, what is remembered beside it, and how vendors' tokens are kept apart."""

from __future__ import annotations

from typing import NamedTuple

from ..oauth2.client_authentication.protocol import ClientAuthentication, RequestCredentials
from ..oauth2.secrets import Secret
from ..serving import Answer
from ..source.token_source import TokenSource

__all__ = ["AtHand", "ForVendor", "Key", "Wanted"]


class Wanted(NamedTuple):
    """What a request asks for; allowed, and in one spelling for all that mean the same."""

    audience: str | None
    scopes: tuple[str, ...]
    """Sorted, each once."""
    resources: tuple[str, ...]
    extra: tuple[tuple[str, str], ...]


class Key(NamedTuple):
    """What a source is found by."""

    vendor: str
    mac: bytes
    """Of the secret, where it is the vendor's own upstream; so a wrong one never leads to a token."""
    wanted: Wanted


class AtHand:
    """A source, and what is remembered of its answers."""

    __slots__ = ("answer", "enrolled_until", "last", "source")

    def __init__(self, source: TokenSource) -> None:
        self.source = source
        self.enrolled_until = 0.0
        """Until when its token has enrolled the vendor's verifier."""
        self.answer: tuple[str, int, str | None, Answer] | None = None
        """The last answer, by its token's fingerprint, the seconds left and what it shows: good for the same second."""
        self.last = ""
        """The fingerprint of the last token for which a request waited: one mint is one miss."""


class ForVendor:
    """A client authentication under which one vendor's tokens are kept apart from another's of the same client.

    Args:
        inner: how the proxy really authenticates.
        vendor: whose tokens they are.
    """

    def __init__(self, inner: ClientAuthentication, vendor: str) -> None:
        self._inner = inner
        self.method = f"{inner.method} for {vendor!r}"

    def credential(self, client_secret: Secret | None) -> bytes:
        """The inner one's."""
        return self._inner.credential(client_secret)

    def authenticate(
        self, client_id: str, client_secret: Secret | None, token_endpoint: str, now: float
    ) -> RequestCredentials:
        """The inner one's."""
        return self._inner.authenticate(client_id, client_secret, token_endpoint, now)
