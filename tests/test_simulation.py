"""The simulation behind docs/simulation.md runs the library, counts correctly, and repeats its results."""

from __future__ import annotations

import cProfile
import sys
from pathlib import Path
from typing import Any

import pytest

import m2m_auth
from m2m_auth.lifecycle.policy import RenewalPolicy

sys.path.append(str(Path(__file__).parents[1] / "bench"))

from simulation.fleet import run
from simulation.hub import Hub, Process
from simulation.measures import mints_per_lifetime, quantile, tokens_used_up
from simulation.world import World

DAY = World(hosts=30, seed=7, duration=10 * 2700.0)


def test_a_fleet_mints_once_per_lifetime_and_no_call_waits_for_a_renewal() -> None:
    """Thirty hosts use ten tokens one after the other: ten mints, and only calls of a process without a token wait."""
    outcome = run(DAY)
    assert len(outcome.mints) == 10
    assert mints_per_lifetime([outcome]) == pytest.approx(1.0, abs=0.001)
    assert outcome.waits_holding == []
    assert len(outcome.waits_without) >= 30
    assert outcome.failed == 0


def test_equal_seeds_give_equal_runs_and_others_do_not() -> None:
    """Every number comes from the seed, and none from the real clock, from ids or from hash order."""
    world = DAY._replace(hosts=10, holder_dies=0.3, wrong_clocks=0.2, cache_faults=0.01, outage=(3000.0, 6000.0))
    first, second, other = (run(each)._replace(seconds=0.0) for each in (world, world, world._replace(seed=8)))
    assert first == second
    assert first.mints != other.mints


def test_the_hosts_run_the_library_s_own_code() -> None:
    """Calls, decisions, flights and backoff are the library's own functions."""
    profile = cProfile.Profile()
    profile.runcall(run, DAY._replace(hosts=2, duration=4000.0, outage=(2650.0, 3300.0)))
    called = {(Path(entry.code.co_filename), entry.code.co_name) for entry in profile.getstats() if _is_python(entry)}
    library = Path(m2m_auth.__file__).parent
    expected = {
        "source/token_source.py": ["token"],
        "lifecycle/decision.py": ["decide"],
        "lifecycle/schedule.py": ["schedule"],
        "lifecycle/failure.py": ["hold_off", "following"],
        "source/renewal.py": ["run"],
        "source/token_state.py": ["fly"],
        "shared_cache/lease.py": ["take", "release"],
        "shared_cache/shared_store.py": ["write_failure"],
    }
    for file, names in expected.items():
        for name in names:
            assert (library / file, name) in called, f"{file} {name}"


def _is_python(entry: Any) -> bool:
    return not isinstance(entry.code, str)


def test_an_outage_is_met_by_scheduled_attempts_and_served_through() -> None:
    """During an outage within the token's life no call fails, and the fleet asks as often as the backoff allows."""
    outcome = run(DAY._replace(start_spread=10.0, duration=3500.0, outage=(2650.0, 3300.0), hangs=0.0))
    assert outcome.failed == 0
    assert 8 <= outcome.attempts_within(2650.0, 3300.0) <= 30
    assert len(outcome.mints) == 2


@pytest.mark.parametrize("hosts", [1, 20])
def test_killed_lease_holders_cost_at_most_a_mint_each(hosts: int) -> None:
    """Every second lease holder dies at some step: at most one wasted mint each, and no wait beyond the lease."""
    outcome = run(DAY._replace(hosts=hosts, holder_dies=0.5))
    assert outcome.crashes >= 3
    assert len(outcome.mints) - tokens_used_up(outcome.mints, 3600.0) <= outcome.crashes
    assert max(outcome.waits_without) < RenewalPolicy().lease + 5.0


def test_a_dead_process_does_nothing_more() -> None:
    """kill -9 ends a thread in its sleep: its next line and its finally block have no effect."""
    hub = Hub()
    process = Process(hub)
    seen: list[str] = []

    def work() -> None:
        try:
            seen.append("begun")
            process.sleep(10.0)
            seen.append("continued")
        finally:
            process.must_live()
            seen.append("cleaned up")

    process.spawn(work)
    hub.at(5.0, process.die)
    hub.run(20.0)
    assert seen == ["begun"]


def test_how_waste_is_counted() -> None:
    """A duplicate wastes a whole token, an early renewal the rest of the token, a late one nothing."""
    assert tokens_used_up([], 3600.0) == 0
    assert tokens_used_up([5.0], 3600.0) == 1
    assert tokens_used_up([0.0, 2700.0, 5400.0], 3600.0) == 3
    assert tokens_used_up([0.0, 0.0, 2700.0], 3600.0) == 2
    assert tokens_used_up([0.0, 1350.0], 3600.0) == 1.5
    assert tokens_used_up([0.0, 9000.0], 3600.0) == 2


def test_quantiles_are_of_the_values() -> None:
    """A quantile is one of the values, without interpolation; an empty list has the quantile 0."""
    assert quantile([float(value) for value in range(100)], 0.99) == 99.0
    assert quantile([3.0], 0.5) == 3.0
    assert quantile([], 0.99) == 0.0
