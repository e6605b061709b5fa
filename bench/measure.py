"""How the bench measures: two programs take turns, and the median of their ratios counts.

On a shared machine seconds mean little; the ratio of two runs next to each other is meaningful.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

HERE = Path(__file__).parent
API = "https://api.example.com/v1/things?page=2"


class Row(NamedTuple):
    """A line of the table. Without a goal it is for information."""

    what: str
    value: float
    unit: str = "x"
    goal: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        return None if self.goal is None else round(self.value, 2) <= self.goal


def ratio(ours: Callable[[], float], theirs: Callable[[], float], rounds: int) -> float:
    """The median of ``ours() / theirs()``; each gives its seconds, and they take turns at going first."""
    return median(a / b for a, b in taking_turns(ours, theirs, rounds))


def taking_turns(ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int) -> Iterable[tuple[Any, Any]]:
    """The results of both, round by round, after one round that does not count."""
    ours(), theirs()
    for turn in range(rounds):
        if turn % 2:
            a, b = ours(), theirs()
        else:
            b, a = theirs(), ours()
        yield a, b


def batch(attach: Callable[[Any], Any], requests: list[Any]) -> Callable[[], float]:
    """Seconds for a token on each of these requests in turn; the requests stay unchanged."""

    def seconds() -> float:
        gc.collect(0)
        gc.disable()
        try:
            begin = time.perf_counter()
            for request in requests:
                attach(request)
            return time.perf_counter() - begin
        finally:
            gc.enable()
            for request in requests:
                request.headers.pop("Authorization", None)
                hooks = getattr(request, "hooks", None)
                if hooks:
                    hooks["response"].clear()

    return seconds


def prepared(library: str, count: int) -> list[Any]:
    """Different requests of this HTTP library, as they are when their auth is asked."""
    if library == "requests":
        import requests

        session = requests.Session()
        return [session.prepare_request(requests.Request("GET", API)) for _ in range(count)]
    module = __import__(library)
    client = module.Client()
    return [client.build_request("GET", API) for _ in range(count)]


class Spent(NamedTuple):
    """What a process cost, in seconds."""

    cpu: float
    wall: float


def child_environment() -> dict[str, str]:
    """Compiled modules are kept with the venv, so that every process runs compiled code."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**environment, "PYTHONPYCACHEPREFIX": str(Path(sys.prefix) / "pycache")}


def run_process(*arguments: str) -> Spent:
    """Runs ``python arguments`` in the bench's folder to its end.

    Raises:
        RuntimeError: it failed.
    """
    begin = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], cwd=HERE, env=child_environment(), stdout=subprocess.PIPE)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()  # type: ignore[union-attr]
    if process.returncode:
        raise RuntimeError(f"python {' '.join(arguments)} failed with {process.returncode}")
    return Spent(usage.ru_utime + usage.ru_stime, wall)


def process_ratios(ours: list[str], theirs: list[str], pairs: int) -> Spent:
    """The medians of the ratios of two programs, for processor time and for wall-clock time."""
    spent = list(taking_turns(lambda: run_process(*ours), lambda: run_process(*theirs), pairs))
    return Spent(median(a.cpu / b.cpu for a, b in spent), median(a.wall / b.wall for a, b in spent))
