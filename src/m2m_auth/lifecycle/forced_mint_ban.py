"""The ban on forced mints, for an API that refuses new tokens too."""

from __future__ import annotations

from typing import NamedTuple

from .backoff import backoff

__all__ = ["FIRST_BAN", "LONGEST_BAN", "ForcedMintBan", "YOUNG", "next_ban"]

YOUNG = 5.0
"""A refused token younger than this many seconds does not cause another mint: the API refuses new ones too."""

FIRST_BAN, LONGEST_BAN = 60.0, 300.0
"""Seconds that forced mints are barred then; doubles up to the second."""


class ForcedMintBan(NamedTuple):
    """Forced mints are barred until a time (Unix time when shared): an API refuses new tokens too."""

    until: float
    level: int


def next_ban(ban: ForcedMintBan | None, now: float) -> ForcedMintBan:
    """The next ban against forced mints: 60 s, doubling to 5 min while they follow each other."""
    follows = ban is not None and now < ban.until + LONGEST_BAN
    level = ban.level + 1 if ban is not None and follows else 0
    return ForcedMintBan(now + backoff(level + 1, first=FIRST_BAN, longest=LONGEST_BAN), level)
