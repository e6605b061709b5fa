"""gunicorn as a real process on a free loopback port, and calls from threads until all its workers have answered."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 60.0
"""Seconds that a test waits for something that usually takes a moment."""


@contextmanager
def gunicorn(
    app: str, log: Path, *options: str, environment: Mapping[str, str], folder: Path | None = None
) -> Iterator[str]:
    """The base URL of ``module:app`` in ``folder``, while the block runs. It ends by SIGTERM, and must exit with 0."""
    command = [sys.executable, "-m", "gunicorn", "--bind=127.0.0.1:0", *options, app]
    with log.open("w") as output:
        master = subprocess.Popen(command, cwd=folder, env={**os.environ, **environment}, stdout=output, stderr=output)
        try:
            until, address = time.monotonic() + PATIENCE, ""
            while not address:
                words = log.read_text()
                assert time.monotonic() < until, words
                assert master.poll() is None, words
                address = next((line.split()[-2] for line in words.splitlines() if "Listening at" in line), "")
                time.sleep(0.02)
            yield address
        finally:
            master.send_signal(signal.SIGTERM)
            try:
                ended = master.wait(PATIENCE)
            finally:
                master.kill()
    assert ended == 0, log.read_text()


def ask(url: str) -> tuple[str, str]:
    """The answer of a test's app: the worker's process id, and the rest."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=PATIENCE) as answer:
        worker, _, rest = answer.read().decode().partition(" ")
        return worker, rest


def ask_all(url: str, workers: int, *, least: int = 1, at_once: int = 16) -> list[tuple[str, str]]:
    """The answers to eight threads, which ask until so many workers have answered, and at least ``least`` times."""
    given: list[tuple[str, str]] = []
    until = time.monotonic() + PATIENCE
    with ThreadPoolExecutor(8) as pool:
        while len(given) < least or len({worker for worker, _ in given}) < workers:
            assert time.monotonic() < until, f"only {len({worker for worker, _ in given})} workers have answered"
            given += pool.map(ask, [url] * at_once)
    return given
