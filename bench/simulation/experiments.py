"""The experiments: which fleets are run, with which seeds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .world import World

__all__ = ["DUE", "OUTAGE", "SIZES", "Experiment", "experiments"]

SIZES = (1, 10, 100, 1_000, 10_000)
OUTAGE = (2600.0, 3900.0)
"""The server is down from 100 s before the fleet's first token is due for renewal to 300 s after it has expired."""
DUE = 3200.0
"""By then every host is due for renewal, whatever its jitter, so the size of the fleet alone can make a difference."""
GENERATION = 2700.0


class Experiment(NamedTuple):
    """One question, and the worlds that answer it."""

    name: str
    about: str
    worlds: list[World]


def experiments(largest: int = SIZES[-1]) -> list[Experiment]:
    """All of them, with fleets of at most ``largest`` hosts."""
    sizes = [size for size in SIZES if size <= largest]
    middle = min(largest, 1_000)
    every = [
        Experiment("steady", "hosts start over 10 min, crash once a day, renew", list(_steady(sizes))),
        Experiment("cold", "all hosts start within 1 s", [_cold(size, seed) for size in sizes for seed in (1, 2)]),
        Experiment("outage", "the server answers 503 from 2,600 s to 3,900 s", list(_outage(sizes))),
        Experiment("hanging", "the same, but it does not answer at all", list(_outage(sizes[:3], seeds=1, hangs=1.0))),
        Experiment("holder", "1 lease holder in 10 is killed", list(_steady(sizes[:4], holder_dies=0.1))),
        Experiment(
            "clocks",
            "this share of the wall clocks is wrong by up to 5 min",
            [w for share in (0.001, 0.01, 0.1) for w in _repeat(middle, wrong_clocks=share)],
        ),
        Experiment("clocks-outage", "an outage, 1 % wrong clocks", list(_outage([middle], seeds=1, wrong_clocks=0.01))),
        Experiment(
            "faults",
            "this share of the cache operations times out",
            [w for share in (1e-4, 1e-3, 1e-2) for w in _repeat(middle, cache_faults=share)],
        ),
        Experiment(
            "idle",
            "few calls: this many a second and host",
            [
                World(size, 1, duration=50 * GENERATION, calls=1 / pause)
                for pause in (60, 300, 900)
                for size in sizes[:3:2]
            ],
        ),
    ]
    return [experiment for experiment in every if experiment.worlds]


def _steady(sizes: Iterable[int], **more: float) -> Iterable[World]:
    for size in sizes:
        generations, seeds = {1_000: (20, 3), 10_000: (7, 3)}.get(size, (50, 4))
        for seed in range(1, seeds + 1):
            yield World(size, seed, duration=generations * GENERATION, **more)  # type: ignore[arg-type]


def _repeat(hosts: int, **more: float) -> Iterable[World]:
    for seed in (1, 2):
        yield World(hosts, seed, duration=10 * GENERATION, **more)  # type: ignore[arg-type]


def _cold(hosts: int, seed: int) -> World:
    return World(hosts, seed, start_spread=1.0, duration=60.0)


def _outage(sizes: Iterable[int], seeds: int = 0, **more: float) -> Iterable[World]:
    for size in sizes:
        for seed in range(1, (seeds or {1_000: 2, 10_000: 1}.get(size, 6)) + 1):
            yield World(
                size,
                seed,
                start_spread=10.0,
                duration=4000.0,
                outage=OUTAGE,
                **{"hangs": 0.0, **more},  # type: ignore[arg-type]
            )
