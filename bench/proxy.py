"""The token proxy: its hits against a constant answer of the same server, its memory, and what its times reveal."""

from __future__ import annotations

import http.client
import json
import math
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any, NamedTuple

from measure import HERE, Row, child_environment, taking_turns
from server import Server

ROUNDS, SECONDS, CONNECTIONS = 15, 1, 16
GUESSES = 3000
FORM = "grant_type=client_credentials&client_id=vendor&client_secret=secret&scope=read&audience="
LUA = f"""
wrk.method = "POST"
wrk.body = "{FORM}"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
"""


class Load(NamedTuple):
    """What one server did under load."""

    rate: float
    """Requests per second."""
    p99: float
    """The 99th percentile of their times, in milliseconds."""
    cost: float = math.nan
    """Processor time of the server per request, in microseconds."""


class Running(NamedTuple):
    """A server's process, and where it listens."""

    pid: int
    port: int


def rows(server: Server) -> Iterator[Row]:
    yield from speed()
    yield from memory()
    yield from times()


def speed() -> Iterator[Row]:
    with serving("constant") as constant, serving("proxy") as proxy:
        pairs = list(taking_turns(lambda: load(constant), lambda: load(proxy), ROUNDS))
    ratio = median(fixed.rate / ours.rate for fixed, ours in pairs)
    rate, p99, cost = (median(values) for values in zip(*(ours for _, ours in pairs), strict=True))
    note = f"{1 / ratio:.2f} of the constant's rate; {rate:.0f} a second"
    yield Row("hits: a constant answer's rate, against ours", ratio, "x", round(1 / 0.7, 2), note)
    against = median(ours.cost / fixed.cost for fixed, ours in pairs)
    yield Row("  the server's processor time for one, against its", against, "x", note=f"ours: {cost:.0f} us")
    against = median(ours.p99 / fixed.p99 for fixed, ours in pairs)
    yield Row(f"  p99 of {CONNECTIONS} connections, against its", against, "x", note=f"ours: {p99:.1f} ms")


def memory() -> Iterator[Row]:
    found = ask("memory")
    first, *_, last = found["megabytes"]
    note = f"{first:.1f} MB after 20,000, {last:.1f} after 200,000; 10,000 bodies, 1,000 entries"
    yield Row("memory after 200,000 requests, against 20,000", last / first, "x", 1.05, note)


def times() -> Iterator[Row]:
    with serving("guessed") as server:
        yield from compared("a wrong secret's times, an unknown client's", *guesses(server.port), judge=True)
    found = ask("times")
    yield from compared("  the same without a network", found["wrong"], found["unknown"], judge=False)


def compared(what: str, wrong: list[float], unknown: list[float], *, judge: bool) -> Iterator[Row]:
    """The distance of two distributions; 99 of 100 pairs of equal ones are nearer than the goal."""
    wrong, unknown = sorted(wrong), sorted(unknown)
    bound = 1.63 * math.sqrt((len(wrong) + len(unknown)) / (len(wrong) * len(unknown)))
    cuts = [[quantiles(values, n=100)[at] * 1e6 for at in (9, 49, 89)] for values in (wrong, unknown)]
    one, other = (" ".join(f"{value:.0f}" for value in values) for values in cuts)
    note = f"10, 50, 90 %: {one} us; {other} us; equal ones: {bound:.2f}"
    yield Row(what, distance(wrong, unknown), "KS", round(bound, 2) if judge else None, note)


def guesses(port: int) -> tuple[list[float], list[float]]:
    """Seconds of each refusal over one connection: a wrong secret and an unknown client, in no order."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    took: tuple[list[float], list[float]] = [], []
    for number in range(200 + 2 * GUESSES):
        unknown = secrets.randbelow(2)
        client = "stranger" if unknown else "vendor"
        form = f"grant_type=client_credentials&client_id={client}&client_secret={secrets.token_hex(16)}"
        begin = time.perf_counter()
        connection.request("POST", "/oauth/token", form, {"Content-Type": "application/x-www-form-urlencoded"})
        answer = connection.getresponse()
        answer.read()
        if number >= 200:
            took[unknown].append(time.perf_counter() - begin)
        if answer.status != 401:
            raise RuntimeError(f"{answer.status} for a wrong secret")
    connection.close()
    return took


def distance(one: list[float], other: list[float]) -> float:
    """Kolmogorov and Smirnov's statistic of two sorted samples: the distance of their distributions, 0 to 1."""
    return max(
        abs(bisect_right(one, value) / len(one) - bisect_right(other, value) / len(other)) for value in one + other
    )


@contextmanager
def serving(what: str) -> Iterator[Running]:
    """A process that serves it."""
    with (
        TemporaryDirectory(prefix="m2m-bench-") as folder,
        subprocess.Popen(
            command("serve", what, folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment(),
            cwd=HERE,
        ) as process,
    ):
        try:
            yield Running(process.pid, int(process.stdout.readline().rpartition(b":")[2]))  # type: ignore[union-attr]
        finally:
            process.stdin.close()  # type: ignore[union-attr]
            process.wait()


def ask(what: str) -> Any:
    """The result of a process of proxy_child.py."""
    done = subprocess.run(command(what), stdout=subprocess.PIPE, env=child_environment(), cwd=HERE, check=True)
    return json.loads(done.stdout)


def command(*words: str) -> list[str]:
    return [sys.executable, "proxy_child.py", *words]


def load(server: Running) -> Load:
    """Sends requests that are hits, as fast as possible, for a while."""
    before = spent(server.pid)
    found = by_wrk(server.port) if shutil.which("wrk") else by_loop(server.port)
    return found._replace(cost=(spent(server.pid) - before) / (found.rate * SECONDS) * 1e6)


def spent(pid: int) -> float:
    """Processor time of a process so far, in seconds; not a number where there is no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return math.nan
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def by_wrk(port: int) -> Load:
    with NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(LUA)
        script.flush()
        url = f"http://127.0.0.1:{port}/oauth/token"
        arguments = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency", "-s", script.name, url]
        printed = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in printed or "Socket errors" in printed:
        raise RuntimeError(printed)
    number, unit = re.findall(r"99%\s+([\d.]+)(us|ms|s)\b", printed)[0]
    rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", printed)[0])
    return Load(rate, float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit])


def by_loop(port: int) -> Load:
    """The same from Python, which takes more of the processor than the server."""
    took: list[float] = []
    until = time.perf_counter() + SECONDS

    def ask_on() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        begin = time.perf_counter()
        while begin < until:
            connection.request("POST", "/oauth/token", FORM, {"Content-Type": "application/x-www-form-urlencoded"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{answer.status} instead of a hit")
            begin, before = time.perf_counter(), begin
            took.append(begin - before)
        connection.close()

    threads = [threading.Thread(target=ask_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Load(len(took) / SECONDS, quantiles(took, n=100)[98] * 1000)
