"""The tables that ``make sim`` prints, and the goals."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

from .experiments import DUE, OUTAGE, Experiment
from .measures import Outcome, mints_per_lifetime, quantile
from .world import World

__all__ = ["Row", "print_goals", "print_outcomes", "rows"]


class Row(NamedTuple):
    """Runs of one world with several seeds, taken together."""

    world: World
    seeds: list[int]
    mints: int
    mints_per_lifetime: float
    plain_ratio: float
    holding: list[float]
    without: list[float]
    attempts: float
    """Token requests during the outage, per run."""
    attempts_due: float
    """The same, from :data:`DUE` on."""
    operations: float
    """Cache operations per host and token."""
    peak: int
    """Cache operations in the busiest second."""
    holder_deaths: int


def rows(outcomes: list[Outcome]) -> list[Row]:
    """One row for each world, whatever its seeds."""
    return [_row(list(group)) for _, group in groupby(outcomes, key=lambda outcome: outcome.world._replace(seed=0))]


def _row(runs: list[Outcome]) -> Row:
    world = runs[0].world
    mints = sum(len(run.mints) for run in runs)
    return Row(
        world=world,
        seeds=[run.world.seed for run in runs],
        mints=mints,
        mints_per_lifetime=mints_per_lifetime(runs),
        plain_ratio=sum(run.plain_ratio for run in runs) / len(runs),
        holding=[wait for run in runs for wait in run.waits_holding],
        without=[wait for run in runs for wait in run.waits_without],
        attempts=sum(run.attempts_within(*OUTAGE) for run in runs) / len(runs),
        attempts_due=sum(run.attempts_within(DUE, OUTAGE[1]) for run in runs) / len(runs),
        operations=sum(sum(run.operations.values()) for run in runs) / world.hosts / max(mints, 1),
        peak=max(max(run.operations.values()) for run in runs),
        holder_deaths=sum(run.holder_deaths for run in runs),
    )


_HEAD = (
    "  hosts  seeds  mints  per lifetime  per L"
    "   waits: holding (max)   without    p99 s    max s   cache/token   peak/s"
)


def print_outcomes(experiment: Experiment, outcomes: list[Outcome]) -> None:
    """One experiment's table."""
    print(f"\n{experiment.name}: {experiment.about}\n{_HEAD}  " + ("attempts" if outcomes[0].world.outage else ""))
    for row in rows(outcomes):
        world = row.world
        print(
            f"{world.hosts:>7,}  1-{row.seeds[-1]:<3} {row.mints:>6}"
            f"  {row.mints_per_lifetime:>12.3f} {row.plain_ratio:>6.2f}"
            f"   {len(row.holding):>8} ({max(row.holding, default=0):5.2f} s)   {len(row.without):>8,}"
            f" {quantile(row.without, 0.99):>8.3f} {max(row.without, default=0):>8.3f}"
            f"   {row.operations:>11.2f} {row.peak:>8,}  {_particulars(row)}".rstrip(),
            flush=True,
        )


def _particulars(row: Row) -> str:
    world = row.world
    parts = [
        f"{row.attempts:.1f}, {row.attempts_due:.1f} from {DUE:,.0f} s on" if world.outage else "",
        f"{row.holder_deaths} killed" if world.holder_dies else "",
        f"wrong clocks {world.wrong_clocks:.1%}" if world.wrong_clocks else "",
        f"faults {world.cache_faults:g}" if world.cache_faults else "",
        f"a call in {1 / world.calls:.0f} s" if world.calls < 1 else "",
    ]
    return "; ".join(part for part in parts if part)


def print_goals(outcomes: dict[str, list[Outcome]]) -> None:
    """The goals of the steady fleet and of the outage, met or missed."""
    print("\ngoals")
    steady = rows(outcomes["steady"])
    outage = rows(outcomes["outage"])
    largest, small, large = steady[-1], outage[0].attempts_due, outage[-1].attempts_due
    waiting = sum(len(row.holding) for row in steady)
    for what, met in (
        (
            f"mints per lifetime at {largest.world.hosts:,} hosts: {largest.mints_per_lifetime:.3f}; goal <= 1.01",
            largest.mints_per_lifetime <= 1.01,
        ),
        (f"calls that wait at renewal: {waiting}; goal 0", waiting == 0),
        (
            f"attempts during the outage, {outage[-1].world.hosts:,} hosts against {outage[0].world.hosts}: "
            f"{large:.1f} against {small:.1f}, {large / small:.2f} x; goal <= 1.10 x",
            large <= 1.1 * small,
        ),
    ):
        print(f"  {'met   ' if met else 'MISSED'} {what}")
