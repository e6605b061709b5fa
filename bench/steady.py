"""Renewal under steady calls: does a call wait for it, and how many mints does it cost?"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

import requests
from measure import Row, child_environment
from server import Server

from m2m_auth.requests import M2MAuth

LIFETIME, LATENCY = 4.0, 0.3
THREADS, RATE, SECONDS = 8, 200, 12.0
PROCESSES, LIFETIMES = 6, 4


class HardCoded(requests.auth.AuthBase):
    """The header that never changes."""

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = "Bearer hard-coded"
        return request


def rows(server: Server) -> Iterator[Row]:
    """Both measurements."""
    server.mints(LATENCY, lifetime=LIFETIME)
    first, ours, fixed = _steady(server)
    mints = server.mints(LATENCY, lifetime=LIFETIME)
    note = f"{len(ours)} calls each; ours {_p99(ours) * 1e3:.1f} ms, fixed {_p99(fixed) * 1e3:.1f} ms; {mints} mints"
    yield Row("p99 of a call, against a fixed header", _p99(ours) / _p99(fixed), goal=1.1, note=note)
    slowest = f"fixed header {max(fixed) * 1e3:.0f} ms; the first call, which mints, {first * 1e3:.0f} ms"
    yield Row("slowest call after the first", max(ours) * 1e3, "ms", 100.0, slowest)
    failed = _processes(server)
    mints = server.mints()
    # A token is renewed after 3/4 of its life at the earliest, so 4 lifetimes have room for this many.
    most = LIFETIMES / 0.75 + 1
    yield Row(f"mints of {PROCESSES} processes in {LIFETIMES} lifetimes", mints, "", most, f"{failed} calls failed")


def _steady(server: Server) -> tuple[float, list[float], list[float]]:
    """The first call's seconds, then those of each call in turn: with m2m-auth, and with the fixed header."""
    auth = M2MAuth(f"{server.url}/oauth/token", "client", "secret", scope="steady")
    begin = time.perf_counter()
    requests.get(f"{server.url}/api/x", auth=auth, timeout=10).raise_for_status()
    first = time.perf_counter() - begin
    taken: dict[bool, list[float]] = {True: [], False: []}
    threads = [threading.Thread(target=_calls, args=(server, auth, taken)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return first, taken[True], taken[False]


def _calls(server: Server, auth: M2MAuth, taken: dict[bool, list[float]]) -> None:
    auths = {True: auth, False: HardCoded()}
    start = time.perf_counter()
    with requests.Session() as session:
        for turn in range(int(SECONDS * RATE / THREADS)):
            time.sleep(max(start + turn * THREADS / RATE - time.perf_counter(), 0))
            for ours in (True, False) if turn % 2 else (False, True):
                begin = time.perf_counter()
                session.get(f"{server.url}/api/x", auth=auths[ours], timeout=10).raise_for_status()
                taken[ours].append(time.perf_counter() - begin)


def _p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)]


def _processes(server: Server) -> int:
    """How many calls failed, of six processes with one disk cache."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, server.url, f"{folder}/cache"]
        running = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=child_environment())
            for _ in range(PROCESSES)
        ]
        return sum(int(process.communicate()[0]) for process in running)


def _one_process(url: str, folder: str) -> int:
    auth = M2MAuth(f"{url}/oauth/token", "client", "secret", scope="processes", cache=f"disk:{folder}")
    failed = 0
    end = time.monotonic() + LIFETIME * LIFETIMES
    with requests.Session() as session:
        while time.monotonic() < end:
            failed += session.get(f"{url}/api/x", auth=auth, timeout=10).status_code != 200
            time.sleep(0.05)
    return failed


if __name__ == "__main__":
    print(_one_process(*sys.argv[1:]))
