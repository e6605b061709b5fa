"""The cache keys of one token request and of one client's ledger."""

from __future__ import annotations

import base64
import hashlib

from ..caches.protocol import OPTIONAL_KEY_PREFIX
from ..lifecycle.utc_periods import utc_period

__all__ = ["CacheKeys", "FAILED", "LedgerKeys"]


class CacheKeys:
    """The cache keys of one token request: one digest, one prefix per kind of entry; 50 ASCII characters."""

    __slots__ = ("digest",)

    def __init__(self, digest: bytes) -> None:
        self.digest = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    @property
    def token(self) -> str:
        """The token's, or the tombstone's."""
        return f"m2m1.t.{self.digest}"

    @property
    def lease(self) -> str:
        """The lease's."""
        return f"m2m1.l.{self.digest}"

    @property
    def failure(self) -> str:
        """The last failure's."""
        return f"m2m1.f.{self.digest}"

    @property
    def forced_mint_ban(self) -> str:
        """The ban's against forced mints."""
        return f"m2m1.b.{self.digest}"

    @property
    def refresh(self) -> str:
        """The rotated refresh token's."""
        return f"m2m1.r.{self.digest}"

    @property
    def history(self) -> str:
        """That of the record which host minted, and when."""
        return f"{OPTIONAL_KEY_PREFIX}{self.digest}"


FAILED = "failed"


class LedgerKeys:
    """The cache keys of one client's counters: per token endpoint and client id, whatever is asked for."""

    __slots__ = ("_client",)

    def __init__(self, token_endpoint: str, client_id: str) -> None:
        raw = token_endpoint.encode()
        digest = hashlib.sha256(len(raw).to_bytes(4, "big") + raw + client_id.encode()).digest()[:16]
        self._client = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def counter(self, period: str, what: str, now: float) -> tuple[str, float]:
        """Return the key and the time to live of a counter: ``what`` is a reason, ``all`` or ``failed``."""
        counted = utc_period(period, now)
        return f"m2m1.n.{self._client}.{counted.key_suffix}.{what}", counted.kept
