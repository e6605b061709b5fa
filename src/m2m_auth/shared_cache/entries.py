"""What a shared cache holds for one key: the token with the refused ones, and the rotated refresh token."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..lifecycle.forced_mint_ban import Refusal
from ..oauth2.secrets import Secret

__all__ = ["KEPT_REJECTED", "Entry", "RotatedRefreshToken"]

KEPT_REJECTED = 8
"""So many refused tokens are remembered: a request that is sent again hours later may carry an old one."""


class Entry(NamedTuple):
    """A token as the processes share it, and the fingerprints of tokens that an API has refused."""

    value: str | None = None
    scope: str | None = None
    issued_at: float = 0.0
    lifetime: float = 0.0
    rejected: tuple[str, ...] = ()
    quota_low: bool = False
    """Renew the token late: the server said that little is left of its quota."""
    replaced: Refusal | None = None
    """The refusal of the token that this one replaced; None if it replaced none, or once an API has taken it."""

    def __repr__(self) -> str:
        return f"<Entry issued_at={self.issued_at:.0f} lifetime={self.lifetime:g}>"

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Entry:
        """The entry behind ``_asdict()``. Raises KeyError, TypeError or ValueError for anything else."""
        value, scope = data["value"], data["scope"]
        if not (value is None or isinstance(value, str)) or not (scope is None or isinstance(scope, str)):
            raise TypeError
        rejected = tuple(str(fingerprint) for fingerprint in data["rejected"])
        issued_at, lifetime = float(data["issued_at"]), float(data["lifetime"])
        replaced = Refusal.from_json(data.get("replaced"))
        return cls(value, scope, issued_at, lifetime, rejected, bool(data.get("quota_low")), replaced)

    def without(self, fingerprint: str, refusal: Refusal | None = None) -> Entry:
        """The tombstone: no token, the fingerprint of the one that was here, and its refusal for the next one."""
        rejected = (*(old for old in self.rejected if old != fingerprint), fingerprint)[-KEPT_REJECTED:]
        return Entry(issued_at=self.issued_at, rejected=rejected, replaced=refusal)


class RotatedRefreshToken(NamedTuple):
    """A refresh token, and how many exchanges led to it."""

    generation: int
    refresh_token: Secret
