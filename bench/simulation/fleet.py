"""Runs one fleet."""

from __future__ import annotations

import gc
import logging
import time
from random import Random

from .host import Host
from .hub import Hub
from .measures import Measures, Outcome
from .surroundings import AuthorizationServer, Store
from .threads import simulated_threads
from .world import World

__all__ = ["run"]


def run(world: World) -> Outcome:
    """One run from a cold start to ``world.duration``. Equal worlds have equal outcomes."""
    begin = time.monotonic()
    log = logging.getLogger("m2m_auth")
    level = log.level
    log.setLevel(logging.CRITICAL)
    gc.collect()
    gc.disable()
    try:
        hub, rng, measures = Hub(), Random(world.seed), Measures()
        store, server = Store(hub), AuthorizationServer(hub, world, rng)
        hosts = [Host(hub, world, rng, store, server, measures) for _ in range(world.hosts)]
        with simulated_threads(hub):
            hub.run(world.duration)
            for host in hosts:
                host.end()
    finally:
        gc.enable()
        log.setLevel(level)
    return Outcome(
        world=world,
        mints=server.mints,
        attempts=server.attempts,
        calls=measures.calls,
        failed=measures.failed,
        crashes=measures.crashes,
        holder_deaths=measures.holder_deaths,
        waits_holding=measures.waits_holding,
        waits_without=measures.waits_without,
        events=dict(measures.events),
        operations=dict(store.operations),
        seconds=time.monotonic() - begin,
    )
