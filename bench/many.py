"""Flat from 10 to 10,000 sources in one process; 64 threads scale as a hard-coded header does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import cycle, islice
from typing import Any

from clients.hard_requests import HardCoded
from hot import minted
from measure import Row, batch, prepared, ratio
from server import Server

THREADS, CALLS = 64, 2000


def rows(server: Server) -> Iterator[Row]:
    yield from _sources()
    yield from _threads(server)


def _sources() -> Iterator[Row]:
    requests = prepared("requests", 10_000)
    ours, hard = [_ours(number) for number in range(10_000)], [HardCoded(f"Bearer {n}") for n in range(10_000)]
    for auth, request in zip(ours, requests, strict=True):
        auth(request)
    ours_growth = ratio(_batch_over(ours, requests), _batch_over(ours[:10], requests), 15)
    hard_growth = ratio(_batch_over(hard, requests), _batch_over(hard[:10], requests), 15)
    yield Row("10,000 sources against 10, time per call", ours_growth / hard_growth, "x", 1.25, "of the hard-coded's")
    yield Row("  ours as it is", ours_growth)
    yield Row("  10,000 hard-coded headers against 10", hard_growth, note="the processor's caches")


def _ours(number: int) -> Any:
    from m2m_auth.oauth2.transport import HttpResponse
    from m2m_auth.requests import M2MAuth

    answer = b'{"access_token": "token-%d", "token_type": "Bearer", "expires_in": 86400}' % number
    return M2MAuth(
        "https://as.example/token",
        "client",
        "secret",
        scope=f"s{number}",
        transport=lambda _: HttpResponse(200, {"Content-Type": "application/json"}, answer),
    )


def _batch_over(auths: list[Any], requests: list[Any]) -> Callable[[], float]:
    """Each request in turn gets the next auth's token, round and round."""
    turns = list(islice(cycle(auths), len(requests)))
    upcoming = iter(())

    def attach(request: Any) -> None:
        next(upcoming)(request)

    timed = batch(attach, requests)

    def seconds() -> float:
        nonlocal upcoming
        upcoming = iter(turns)
        return timed()

    return seconds


def _threads(server: Server) -> Iterator[Row]:
    mine = minted(import_module("clients.ours_requests"), server)
    theirs = import_module("clients.hard_requests").connect(server.url, None)
    one = ratio(_at_once(mine.attach, 1), _at_once(theirs.attach, 1), 15)
    many = ratio(_at_once(mine.attach, THREADS), _at_once(theirs.attach, THREADS), 15)
    yield Row(f"{THREADS} threads against 1, time per call", many / one, "x", 1.15, "of the hard-coded's")
    yield Row(f"  {THREADS} threads, against the hard-coded header", many)
    yield Row("  1 thread, against the hard-coded header", one)


def _at_once(attach: Callable[[Any], Any], threads: int) -> Callable[[], float]:
    """Seconds until all of them have attached their share of ``THREADS * CALLS`` tokens."""
    share = THREADS * CALLS // threads
    requests = prepared("requests", threads)

    def seconds() -> float:
        gate = threading.Barrier(threads + 1)
        workers = [threading.Thread(target=work, args=(request, gate)) for request in requests]
        for worker in workers:
            worker.start()
        gate.wait()
        begin = time.perf_counter()
        for worker in workers:
            worker.join()
        return time.perf_counter() - begin

    def work(request: Any, gate: threading.Barrier) -> None:
        hooks = request.hooks["response"]
        gate.wait()
        for _ in range(share // 100):
            for _ in range(100):
                attach(request)
            hooks.clear()

    return seconds
