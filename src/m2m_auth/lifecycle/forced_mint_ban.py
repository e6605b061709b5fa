"""The ban on forced mints, for an API that refuses new tokens too."""

from __future__ import annotations

from typing import NamedTuple

from .backoff import backoff

__all__ = ["FIRST_BAN", "LONGEST_BAN", "ForcedMintBan", "YOUNG", "next_ban"]

YOUNG = 5.0
"""Seconds. A refused token that is younger causes a ban and no further mint: the API refuses new tokens too."""

FIRST_BAN, LONGEST_BAN = 60.0, 300.0
"""Seconds that a ban lasts: the first one, and the longest one that doubling leads to."""


class ForcedMintBan(NamedTuple):
    """A ban on forced mints."""

    until: float
    """The end of the ban, on the caller's clock; Unix time in the shared cache."""
    level: int
    """How many bans came before it without a break; 0 for the first one."""


def next_ban(ban: ForcedMintBan | None, now: float) -> ForcedMintBan:
    """Return the ban that begins ``now``: 60 s, doubled to at most 5 min while bans follow each other.

    A ban follows another one that has not ended, or that ended less than 5 min ago.
    """
    follows = ban is not None and now < ban.until + LONGEST_BAN
    level = ban.level + 1 if ban is not None and follows else 0
    return ForcedMintBan(now + backoff(level + 1, first=FIRST_BAN, longest=LONGEST_BAN), level)
