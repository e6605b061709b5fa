"""What is stored in a shared cache for one key."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from ..oauth2.secrets import Secret

__all__ = ["Entry", "Lease", "RotatedRefreshToken"]

_KEPT_REJECTED = 4


class Lease(Enum):
    """The answer to "may I mint?"."""

    ACQUIRED = "yes"
    HELD = "another process does"
    ERROR = "the cache cannot say"


class Entry(NamedTuple):
    """A token as it is shared, and the fingerprints of tokens that an API has refused."""

    value: str | None = None
    scope: str | None = None
    issued_at: float = 0.0
    lifetime: float = 0.0
    rejected: tuple[str, ...] = ()
    quota_low: bool = False
    """Renew it late: the server said that little is left of its quota."""

    def __repr__(self) -> str:
        return f"<Entry issued_at={self.issued_at:.0f} lifetime={self.lifetime:g}>"

    def without(self, fingerprint: str) -> Entry:
        """The tombstone: no token any more, and this one's fingerprint remembered."""
        rejected = (*(old for old in self.rejected if old != fingerprint), fingerprint)[-_KEPT_REJECTED:]
        return Entry(issued_at=self.issued_at, rejected=rejected)


class RotatedRefreshToken(NamedTuple):
    """A refresh token, and how many exchanges led to it."""

    generation: int
    refresh_token: Secret
