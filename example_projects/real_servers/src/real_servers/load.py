"""A load on a service whose workers call the inventory, and the verdict whether one token was enough."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import requests

THREADS, ROUND, PATIENCE = 16, 200, 60


def verdict(url: str, workers: int, inventory: str, database: Path) -> bool:
    """Call ``url`` until every worker has answered, print the results, and return whether all is right.

    The mints are the rows of the authorization server's table of access tokens.
    """
    answers: Counter[tuple[int, object]] = Counter()
    began = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        while not answers or (len({worker for _, worker in answers}) < workers and time.monotonic() < began + PATIENCE):
            answers.update(pool.map(_ask, [url] * ROUND))
    seconds = time.monotonic() - began
    statuses = {status: sum(count for (other, _), count in answers.items() if other == status) for status, _ in answers}
    asked = {worker for _, worker in answers if worker is not None}
    refused = _get(f"{inventory}/stock/apple")
    challenge = refused.headers.get("WWW-Authenticate", "none")
    minted = mints(database)
    print(f"calls                 {answers.total()} in {seconds:.1f} s, from {THREADS} threads")
    print(f"answers               {statuses}")
    print(f"workers               {len(asked)}")
    print(f"mints                 {minted}, counted by the authorization server")
    print(f"without a token       {refused.status_code}, WWW-Authenticate: {challenge}")
    good = set(statuses) == {200} and len(asked) == workers and minted == 1
    return good and refused.status_code == 401 and challenge.startswith("Bearer ")


def mints(database: Path) -> int:
    """The number of tokens that the authorization server has issued."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM oauth2_provider_accesstoken").fetchone()[0])


def _ask(url: str) -> tuple[int, object]:
    """The status of one call, and the worker that answered it."""
    answer = _get(url)
    return answer.status_code, answer.json().get("worker") if answer.ok else None


def _get(url: str) -> requests.Response:
    """One call on a new connection, so that any worker may take it, and without a proxy: all is on loopback."""
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, timeout=60)
