"""What follows when an API refuses a token: a forced mint, or a ban on forced mints.

The first refusal of a token costs one forced mint, whatever the token's age. An API that refuses the new token too
would use up the quota, so forced mints are then banned: 60 s, doubling to 4 h. A token that works ends the ban.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..oauth2.origins import Origin
from .backoff import backoff

__all__ = [
    "EARLY",
    "FAR_TOO_OFTEN",
    "FIRST_BAN",
    "LONGEST_BAN",
    "TOO_OFTEN",
    "ForcedMintBan",
    "Refusal",
    "is_cleared",
    "is_no_help",
    "is_too_often",
    "next_ban",
    "refusal_of",
    "same_api",
]

FIRST_BAN, LONGEST_BAN = 60.0, 14_400.0
"""Seconds that a ban lasts: the first one, and the longest one that doubling leads to."""
EARLY = 0.1
"""A refusal before this share of the token's life is an early one."""
AT_ONCE = 60.0
"""Seconds. A new token that no API took before this age, and one refused, was no help: the answer may be a slow one."""
TOO_OFTEN = 3
"""So many tokens refused early in a row, though they were accepted in between, are an event of their own."""
FAR_TOO_OFTEN = 6
"""So many lead to a ban, too. A morning of deployments, each of which revokes the tokens, has fewer."""


class Refusal(NamedTuple):
    """An API refused a token."""

    origin: Origin | None = None
    """The API; None if that is not known."""
    early: int = 0
    """How many tokens in a row, up to this one, were refused early."""

    @classmethod
    def from_json(cls, data: Any) -> Refusal | None:
        """The refusal that another process wrote; None for None. Raises TypeError or ValueError for anything else."""
        if data is None:
            return None
        origin, early = data
        return cls(_origin(origin), int(early))


class ForcedMintBan(NamedTuple):
    """A ban on forced mints."""

    until: float
    """The end of the ban, on the caller's clock; Unix time in the shared cache."""
    level: int
    """How many bans came before it without a break; 0 for the first one."""
    firm: bool = False
    """True: the API took a token during the ban before this one, so its accepting a token does not end this one."""
    origin: Origin | None = None
    """The API that refuses new tokens; None if that is not known."""
    over: bool = False
    """True: a token that works has ended it. Hosts whose clocks disagree see that, too."""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ForcedMintBan:
        """The ban that another process wrote. Raises KeyError, TypeError or ValueError for anything else."""
        firm, over = bool(data.get("firm")), bool(data.get("over"))
        return cls(float(data["until"]), int(data["level"]), firm, _origin(data.get("origin")), over)

    def ended(self, now: float) -> ForcedMintBan:
        """The same ban, ended ``now`` by a token that works; the one that may follow is firm."""
        return self._replace(until=min(self.until, now), firm=True, over=True)

    @property
    def length(self) -> float:
        """How long a ban of this level lasts at most, in seconds."""
        return backoff(self.level + 1, first=FIRST_BAN, longest=LONGEST_BAN)

    def is_recent(self, now: float) -> bool:
        """True during the ban, and while another one would follow it."""
        return now < self.until + LONGEST_BAN


def refusal_of(
    replaced: Refusal | None, age: float, lifetime: float, origin: Origin | None, *, accepted: bool
) -> Refusal:
    """Return the refusal of a token.

    Args:
        replaced: the refusal of the token before it; None: it was not refused.
        age: the token's age, in seconds.
        lifetime: its lifetime, in seconds.
        origin: the API that refuses it.
        accepted: the API took it before.
    """
    if age >= lifetime * EARLY:
        return Refusal(origin)
    if replaced is None:
        return Refusal(origin, 1)
    return Refusal(origin, replaced.early + accepted)


def is_no_help(replaced: Refusal | None, age: float, lifetime: float, *, accepted: bool) -> bool:
    """True if an API refuses the token that replaced a refused one, without having taken it before.

    The arguments are those of :func:`refusal_of`.
    """
    return replaced is not None and not accepted and age < max(lifetime * EARLY, AT_ONCE)


def is_cleared(age: float, lifetime: float, ban: ForcedMintBan | None, now: float) -> bool:
    """True if a token that no API has refused so far counts as one that works, though nothing says that one took it.

    ``reject()`` alone reports no success. A token that replaced a refused one, and that is not early in its life any
    more, was a help. So the refusal of a later one is not held against it, unless a ban was necessary meanwhile.
    """
    return age >= lifetime * EARLY and (ban is None or not ban.is_recent(now))


def is_too_often(refusal: Refusal, ban: ForcedMintBan | None, now: float) -> bool:
    """True if tokens that an API takes and soon refuses are so many that forced mints are banned.

    Args:
        refusal: the latest token's.
        ban: the latest ban; while another one would follow it, fewer of them are too many.
        now: the time, on the clock of the ban.
    """
    return refusal.early >= (TOO_OFTEN if ban is not None and ban.is_recent(now) else FAR_TOO_OFTEN)


def next_ban(ban: ForcedMintBan | None, now: float, refusal: Refusal = Refusal()) -> ForcedMintBan:  # noqa: B008
    """Return the ban that begins ``now``: 60 s, doubled to at most 4 h while bans follow each other.

    A ban follows another one that has not ended, or that ended less than 4 h ago. Where an API takes each new token and
    soon refuses it, the number of these tokens counts in the same way.
    """
    level, firm = max(refusal.early - FAR_TOO_OFTEN, 0), refusal.early >= TOO_OFTEN
    if ban is not None and ban.is_recent(now):
        level, firm = max(level, ban.level + 1), firm or ban.firm
    ban = ForcedMintBan(now, level, firm, refusal.origin)
    return ban._replace(until=now + ban.length)


def same_api(one: Origin | None, other: Origin | None) -> bool:
    """True unless both are known and differ."""
    return one is None or other is None or one == other


def _origin(data: Any) -> Origin | None:
    if data is None:
        return None
    scheme, host, port = data
    return str(scheme), str(host), int(port)
