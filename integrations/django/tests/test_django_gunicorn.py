"""gunicorn --preload with two workers and nothing configured but the client: one mint for both."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from m2m_auth.testing import FakeAuthorizationServer


@contextmanager
def gunicorn(server: FakeAuthorizationServer, folder: Path, when: str) -> Iterator[str]:
    """The address of two workers that preload the project."""
    own = {"M2M_TEST_ENDPOINT": server.token_endpoint, "M2M_TEST_WHEN": when, "M2M_TEST_FOLDER": str(folder)}
    own |= {"XDG_CACHE_HOME": str(folder), "PYTHONWARNINGS": "", "PYTHONDEVMODE": ""}
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers=2", "--threads=2", "--bind=127.0.0.1:0"]
    path = folder / "log"
    with path.open("w") as log:
        here = Path(__file__).parent
        master = subprocess.Popen(
            [*command, "django_wsgi"], cwd=here, env={**os.environ, **own}, stderr=log, stdout=log
        )
        try:
            until, address = time.monotonic() + 30, ""
            while not address:
                assert time.monotonic() < until, path.read_text()
                assert master.poll() is None, path.read_text()
                lines = path.read_text().splitlines()
                address = next((line.split()[-2] for line in lines if "Listening at" in line), "")
                time.sleep(0.02)
            yield address
        finally:
            master.send_signal(signal.SIGTERM)
            master.wait(30)


def ask(url: str) -> tuple[str, str]:
    """The worker that answered, and what."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        worker, _, what = answer.read().decode().partition(" ")
        return worker, what


@pytest.mark.parametrize("when", ["before", "after"])
def test_two_workers_share_one_token(server: FakeAuthorizationServer, tmp_path: Path, when: str) -> None:
    """Whether the master or a worker gets the first token: both workers answer, and the server has minted one."""
    with gunicorn(server, tmp_path, when) as address:
        url = f"{address}/call?url={quote(server.base_url + '/api/x')}"
        given: list[tuple[str, str]] = []
        until = time.monotonic() + 30
        with ThreadPoolExecutor(4) as pool:
            while len({worker for worker, _ in given}) < 2:
                assert time.monotonic() < until, "one worker took every call"
                given += pool.map(ask, [url] * 8)
    assert {what for _, what in given} == {"200"}
    assert server.mints == 1
    assert (tmp_path / "m2m-auth").stat().st_mode & 0o777 == 0o700
