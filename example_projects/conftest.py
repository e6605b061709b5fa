"""Runs an example with the command of its README, and ends it in any case."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

UNWANTED = ("PYTHONWARNINGS", "PYTHONDEVMODE", "PYTHONDONTWRITEBYTECODE", "DJANGO_SETTINGS_MODULE", "TOKEN_CACHE")
"""Variables of a test run that a user's shell does not have."""
PATIENCE = 60.0
"""Seconds that a test waits for something that usually takes a moment."""


class Example:
    """A running example, and the addresses and files that it has printed, by name."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.printed: dict[str, str] = {}
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Ctrl-C"):
                return
            name, _, value = line.strip().partition("  ")
            self.printed[name] = value.strip()
        raise AssertionError(f"the example has ended: {self.printed}")

    def load(self, url: str, workers: int, known: Collection[int] = ()) -> Counter[tuple[int, int]]:
        """300 calls from 16 threads, and more until so many new workers have answered.

        Returns the number of answers by status and worker.
        """
        answers: Counter[tuple[int, int]] = Counter()
        deadline = time.monotonic() + PATIENCE
        with ThreadPoolExecutor(16) as pool:
            while sum(answers.values()) < 300 or len({worker for _, worker in answers} - {*known}) < workers:
                assert time.monotonic() < deadline, f"not every worker has answered: {answers}"
                answers.update(pool.map(_ask, [url] * 100))
        return answers

    def mints(self) -> int:
        """The rows of the authorization server's own table of access tokens."""
        with contextlib.closing(sqlite3.connect(self.printed["its database"])) as connection:
            return int(connection.execute("SELECT count(*) FROM oauth2_provider_accesstoken").fetchone()[0])

    def shell(self, command: str) -> str:
        """The output of a command in another terminal that has sourced the example's settings."""
        line = ["sh", "-c", f". '{self.printed['settings to source']}' && {command}"]
        return subprocess.run(line, env=environment(), check=True, stdout=subprocess.PIPE, text=True).stdout

    def interrupt(self) -> None:
        """Press Ctrl-C, as in a terminal. All processes must end and leave no file."""
        folder = Path(self.printed["logs"]).parent
        assert _alive(folder)
        os.killpg(self.process.pid, signal.SIGINT)
        assert self.process.wait(PATIENCE) == 0
        assert not _alive(folder), "a process is left"
        assert not folder.exists()


def environment(**values: str) -> dict[str, str]:
    """The environment of a user's shell, with these variables."""
    return {**{name: value for name, value in os.environ.items() if name not in UNWANTED}, **values}


@contextmanager
def running(*command: str, **values: str) -> Iterator[subprocess.Popen[str]]:
    """A user's command. At the end it gets SIGTERM, then its whole process group is killed."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment(**values), start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def start() -> Iterator[Callable[[Path], Example]]:
    """``start(run)`` runs that ``run.py``. All its processes end with the test, also when it fails."""
    with contextlib.ExitStack() as stack:
        yield lambda run: Example(stack.enter_context(running(sys.executable, str(run))))


@pytest.fixture
def smoke() -> Callable[[Path, str], tuple[int, str]]:
    """``smoke(run, cache)``: the exit code and output of that ``run.py --smoke``, with its tokens in this cache."""

    def run(run: Path, cache: str) -> tuple[int, str]:
        with running(sys.executable, str(run), "--smoke", TOKEN_CACHE=cache) as process:
            output = process.communicate(timeout=2 * PATIENCE)[0]
        return process.returncode, output

    return run


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """A client of the services that uses no proxy."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def _ask(url: str) -> tuple[int, int]:
    """The status of one call, and the worker that answered it."""
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(url, timeout=PATIENCE)
        return answer.status_code, answer.json().get("worker")


def _alive(folder: Path) -> bool:
    """True while a process with this folder in its environment is alive."""
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it is ending, or belongs to another user
            if str(folder).encode() in environ.read_bytes():
                return True
    return False
