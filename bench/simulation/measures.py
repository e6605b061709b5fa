"""The measurements of one run, and figures from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from m2m_auth.events import Event
from m2m_auth.lifecycle.policy import RenewalPolicy

from .world import World

__all__ = ["Measures", "Outcome", "mints_per_lifetime", "quantile", "tokens_used_up"]


class Measures:
    """Counted while a run goes on."""

    def __init__(self) -> None:
        self.calls = 0
        self.failed = 0
        self.crashes = 0
        self.holder_deaths = 0
        self.waits_holding: list[float] = []
        self.waits_without: list[float] = []
        self.events: Counter[str] = Counter()

    def event(self, event: Event) -> None:
        """The library's ``on_event``."""
        self.events[f"{event.kind} {event.reason}" if event.kind == "minted" else event.kind] += 1


class Outcome(NamedTuple):
    """One run. ``mints`` and ``attempts`` are the times of token requests at the server: answered, and all."""

    world: World
    mints: list[float]
    attempts: list[float]
    calls: int
    """Calls that were simulated one by one."""
    failed: int
    crashes: int
    holder_deaths: int
    waits_holding: list[float]
    """Seconds that calls waited though the process held a good token."""
    waits_without: list[float]
    """Seconds that calls waited because the process had none."""
    events: dict[str, int]
    operations: dict[int, int]
    """Cache operations by second."""
    seconds: float
    """What the run took, in seconds of the real clock."""

    @property
    def plain_ratio(self) -> float:
        """Mints per elapsed ``L``. Without waste: L / (L - W) = 1.33, as tokens are renewed when their window opens."""
        return len(self.mints) * self.world.lifetime / self.world.duration

    def attempts_within(self, begin: float, end: float) -> int:
        """Token requests that reached the server in that time."""
        return sum(begin <= when < end for when in self.attempts)


def tokens_used_up(mints: list[float], lifetime: float) -> float:
    """How many tokens a fleet without waste would have minted.

    A token is worth the time until it is due for renewal (``L - W``: its window opens). One that is followed by
    another mint before has been used for that part of its worth only: a duplicate a second later wastes nearly all of
    one token, a renewal at 90 % of that time wastes a tenth. The last token counts in full.
    """
    worth = lifetime - RenewalPolicy().lead(lifetime)
    ranked = sorted(mints)
    return sum(min((after - before) / worth, 1.0) for before, after in pairwise(ranked)) + bool(ranked)


def mints_per_lifetime(runs: Sequence[Outcome]) -> float:
    """Mints per token that was needed, over several runs: 1 is a fleet without waste."""
    used_up = sum(tokens_used_up(run.mints, run.world.lifetime) for run in runs)
    return sum(len(run.mints) for run in runs) / used_up


def quantile(values: list[float], share: float) -> float:
    """The value that ``share`` of them do not exceed; 0 of none."""
    ranked = sorted(values)
    return ranked[min(int(share * len(ranked)), len(ranked) - 1)] if ranked else 0.0
