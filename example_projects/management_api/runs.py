"""Plays the platform: cold processes, forked from one that has only imported the handler, for some runs each.

``python runs.py STORE PROCESSES RUNS`` prints a line of JSON for each run. No process sees what another had in memory:
what they share is the store, a file here, with the platform's limits.
"""

from __future__ import annotations

import gc
import importlib
import json
import logging
import os
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import handler

MAX_RECORDS, MAX_TEXT = 100, 4096


class FileRecords:
    """100 records of 4 kB with an expiry. A folder named ``full`` next to it makes every write fail."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._full = Path(path).with_name("full")

    def _ask(self, statement: str, *values: object) -> list[tuple[str]]:
        with closing(sqlite3.connect(self._path, timeout=30, isolation_level=None)) as records:
            records.execute("CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, text TEXT, until REAL)")
            return records.execute(statement, values).fetchall()

    def read(self, key: str) -> str | None:
        """The record's text."""
        found = self._ask("SELECT text FROM records WHERE key = ? AND until > ?", key, time.time())
        return found[0][0] if found else None

    def write(self, key: str, text: str, *, expires_in: int) -> bool:
        """Store it; False if that failed."""
        others = self._ask("SELECT key FROM records WHERE key != ? AND until > ?", key, time.time())
        if self._full.exists() or len(text) > MAX_TEXT or len(others) >= MAX_RECORDS:
            return False
        self._ask("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", key, text, time.time() + expires_in)
        return True

    def remove(self, key: str) -> None:
        """Delete it."""
        self._ask("DELETE FROM records WHERE key = ?", key)


def one_process(path: str, runs: int) -> None:
    """The work of one process."""
    warnings: list[str] = []
    log = logging.Handler(logging.WARNING)
    log.emit = lambda record: warnings.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("m2m_auth").addHandler(log)
    for _ in range(runs):
        warnings.clear()
        try:
            answer = handler.run({"user_id": "auth0|7"}, FileRecords(path))
        except Exception as error:  # a platform reports it, too
            answer = {"error": f"{type(error).__name__}: {error}"}
        os.write(1, json.dumps({**answer, "process": os.getpid(), "warnings": warnings}).encode() + b"\n")


def warm_up() -> None:
    """Import what the first call would import. This process makes no request and holds no token."""
    assert handler.ManagementClient(domain=handler.DOMAIN, token="none").users
    for name in ("m2m_auth.httpx", "m2m_auth.requests", "cryptography.hazmat.primitives.ciphers.aead"):
        importlib.import_module(name)
    gc.freeze()  # objects in memory now stay shared with the runs' processes


def main() -> None:
    """One process after the other; each ends without notice, as on a platform."""
    path, processes, runs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    warm_up()
    for _ in range(processes):
        child = os.fork()
        if child == 0:
            try:
                one_process(path, runs)
            finally:
                os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
