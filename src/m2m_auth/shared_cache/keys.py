"""The cache keys: those of one token request's entries, and those of one client's counters.

Each kind of entry has a prefix of its own. A key is at most 64 ASCII characters and holds no secret: it is a digest.
"""

from __future__ import annotations

import base64
import hashlib

from ..caches.protocol import OPTIONAL_KEY_PREFIX
from ..lifecycle.utc_periods import utc_period

__all__ = ["ALL", "FAILED", "CacheKeys", "LedgerKeys"]

_TOKEN = "m2m1.t."  # noqa: S105 - a prefix
_LEASE = "m2m1.l."
_FAILURE = "m2m1.f."
_FORCED_MINT_BAN = "m2m1.b."
_REFRESH_TOKEN = "m2m1.r."  # noqa: S105 - a prefix
_WAIT = "m2m1.w."
_HISTORY = OPTIONAL_KEY_PREFIX
_COUNTER = "m2m1.n."

ALL = "all"
"""The counter of all mints."""
FAILED = "failed"
"""The counter of failed attempts."""


class CacheKeys:
    """The cache keys of one token request: one digest, one prefix for each kind of entry; 50 ASCII characters.

    Args:
        digest: of the token request.
        client: of the client's credential and the token endpoint, the same for all of the client's token requests.
    """

    __slots__ = ("client", "digest")

    def __init__(self, digest: bytes, client: bytes = b"") -> None:
        self.digest, self.client = _text(digest), _text(client)

    @property
    def token(self) -> str:
        """The key of the token, or of the tombstone of a refused one."""
        return _TOKEN + self.digest

    @property
    def lease(self) -> str:
        """The key of the lease."""
        return _LEASE + self.digest

    @property
    def failure(self) -> str:
        """The key of the last failure."""
        return _FAILURE + self.digest

    @property
    def forced_mint_ban(self) -> str:
        """The key of the ban on forced mints."""
        return _FORCED_MINT_BAN + self.digest

    @property
    def refresh_token(self) -> str:
        """The key of the rotated refresh token."""
        return _REFRESH_TOKEN + self.digest

    @property
    def wait(self) -> str:
        """The key of the wait that the token endpoint asked the client for, whatever it requests."""
        return _WAIT + self.client

    @property
    def history(self) -> str:
        """The key of the mint history: which host minted, and when."""
        return _HISTORY + self.digest


class LedgerKeys:
    """The cache keys of one client's counters: per token endpoint and client id, for all of its audiences."""

    __slots__ = ("_client",)

    def __init__(self, token_endpoint: str, client_id: str) -> None:
        raw = token_endpoint.encode()
        self._client = _text(hashlib.sha256(len(raw).to_bytes(4, "big") + raw + client_id.encode()).digest()[:16])

    def counter(self, period: str, what: str, now: float) -> tuple[str, float]:
        """The key and the time to live of a counter: ``what`` is a reason, :data:`ALL` or :data:`FAILED`."""
        counted = utc_period(period, now)
        return f"{_COUNTER}{self._client}.{counted.key_suffix}.{what}", counted.kept


def _text(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
