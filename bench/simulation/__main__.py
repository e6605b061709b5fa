"""Runs every experiment, prints what came out, and draws docs/images/simulation-*.png.

``make sim`` takes about two minutes; ``make sim ARGS=1000`` has fleets of 1,000 hosts at most, and no plots.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

from .experiments import SIZES, Experiment, experiments
from .fleet import run
from .measures import Outcome
from .report import print_goals, print_outcomes
from .world import World

IMAGES = Path(__file__).parents[2] / "docs" / "images"


def main(arguments: list[str]) -> int:
    begin = time.monotonic()
    largest = int(arguments[0]) if arguments else SIZES[-1]
    chosen = experiments(largest)
    outcomes = dict(_run(chosen))
    if largest == SIZES[-1]:
        from .plots import draw

        IMAGES.mkdir(exist_ok=True)
        draw(outcomes, IMAGES)
    print_goals(outcomes)
    print(f"\n{time.monotonic() - begin:.0f} s; equal seeds give equal numbers")
    return 0


def _run(chosen: list[Experiment]) -> Iterable[tuple[str, list[Outcome]]]:
    """Runs all worlds on all cores, the largest first, and yields each experiment when it is done."""
    worlds = {world for experiment in chosen for world in experiment.worlds}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        running: dict[World, Future[Outcome]] = {
            world: pool.submit(run, world) for world in sorted(worlds, key=_effort, reverse=True)
        }
        for experiment in chosen:
            outcomes = [running[world].result() for world in experiment.worlds]
            print_outcomes(experiment, outcomes)
            yield experiment.name, outcomes


def _effort(world: World) -> float:
    return world.hosts * world.duration * (10 if world.outage else 1)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
