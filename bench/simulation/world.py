"""The random variables and their distributions. Times in seconds."""

from __future__ import annotations

import math
from random import Random
from typing import NamedTuple

__all__ = ["STEPS", "World"]

STEPS = ("read again", "request", "answer", "share", "release")
"""Where a lease holder may die: just before each of these; before "answer" the server has minted already."""


class World(NamedTuple):
    """One fleet and its faults. The defaults are the steady state of docs/simulation.md."""

    hosts: int
    seed: int
    lifetime: float = 3600.0
    duration: float = 20 * 2700.0
    """How long the run is; 2,700 s is when an hour's token is due for renewal."""
    calls: float = 1.0
    """Calls per second and host: a Poisson process."""
    start_spread: float = 600.0
    """The hosts start at uniformly distributed times within this."""
    mint: tuple[float, float] = (0.3, 0.6)
    """A token request: log-normal, median and sigma (p99 1.2 s)."""
    cache: tuple[float, float] = (0.0007, 0.7)
    """A cache operation: log-normal, median and sigma (p99 3.6 ms)."""
    mean_time_to_crash: float = 86400.0
    """Each host: exponential."""
    downtime: float = 30.0
    """From a crash to the start of the next process, with empty memory: exponential mean."""
    holder_dies: float = 0.0
    """The probability that a process that has just taken the lease dies at a random one of :data:`STEPS`."""
    skew: float = 0.1
    """Wall clocks: normal, standard deviation."""
    wrong_clocks: float = 0.0
    """The share of hosts whose wall clock is off by a uniform -300 … 300 s instead."""
    outage: tuple[float, float] | None = None
    """When the authorization server is down."""
    hangs: float = 0.05
    """The share of token requests that run into the mint deadline during an outage; the others get a 503."""
    cache_faults: float = 0.0
    """The probability that a cache operation runs into its deadline of 100 ms."""

    def draw_mint(self, rng: Random) -> float:
        return rng.lognormvariate(math.log(self.mint[0]), self.mint[1])

    def draw_cache(self, rng: Random) -> float:
        return rng.lognormvariate(math.log(self.cache[0]), self.cache[1])

    def draw_skew(self, rng: Random) -> float:
        wrong = rng.random() < self.wrong_clocks
        return rng.uniform(-300, 300) if wrong else rng.gauss(0.0, self.skew)
