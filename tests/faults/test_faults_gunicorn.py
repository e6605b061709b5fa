"""gunicorn --preload with threads and with gevent: every worker answers, whenever the first token was minted."""

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

import pytest

from m2m_auth.testing import FakeAuthorizationServer

WORKERS = {"threads": ("--worker-class=gthread", "--threads=4"), "gevent": ("--worker-class=gevent",)}
APP = """
import os, sys, threading
sys.modules["django"] = None  # diskcache imports it, and gevent's patching trips over settings that nobody configured
import requests
from m2m_auth.requests import M2MAuth

auth = M2MAuth(os.environ["ENDPOINT"], "client", "secret", cache=os.environ["CACHE"] or None)
when = os.environ["WHEN"]
if when == "before":
    auth.source.token()
elif when == "during":
    threading.Thread(target=auth.source.token, daemon=True).start()
elif when == "watched":
    watcher = auth.source.watch()

def app(environ, start_response):
    if environ["PATH_INFO"] == "/held":
        held = auth.source.slot.held
        answer = held.token.value if held else "-"
    else:
        with requests.Session() as session:
            session.auth, session.trust_env = auth, False
            answer = str(session.get(os.environ["API"], timeout=20).status_code)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Connection", "close")])
    return [f"{os.getpid()} {answer}".encode()]
"""


@contextmanager
def gunicorn(server: FakeAuthorizationServer, tmp_path: Path, kind: str, cache: str, when: str) -> Iterator[str]:
    """The address of two workers of this kind, which preload the app."""
    (tmp_path / "preloaded_app.py").write_text(APP)
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers=2", "--bind=127.0.0.1:0", *WORKERS[kind]]
    own = {"ENDPOINT": server.token_endpoint, "API": server.base_url + "/api/x", "CACHE": cache, "WHEN": when}
    with (tmp_path / "log").open("w+") as log:
        master = subprocess.Popen(
            [*command, "preloaded_app:app"], cwd=tmp_path, env={**os.environ, **own}, stderr=log, stdout=log
        )
        try:
            until = time.monotonic() + 30
            address = ""
            while not address:
                assert time.monotonic() < until, (tmp_path / "log").read_text()
                assert master.poll() is None, (tmp_path / "log").read_text()
                lines = (tmp_path / "log").read_text().splitlines()
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


def answers(address: str) -> list[tuple[str, str]]:
    """What the workers answered, asked by eight threads until both have."""
    given: list[tuple[str, str]] = []
    until = time.monotonic() + 30
    with ThreadPoolExecutor(8) as pool:
        while len({worker for worker, _ in given}) < 2:
            assert time.monotonic() < until, "one worker took every call"
            given += pool.map(ask, [address] * 16)
    return given


@pytest.mark.parametrize("kind", WORKERS)
@pytest.mark.parametrize("when", ["before", "during", "never"])
def test_every_worker_answers(
    server: FakeAuthorizationServer, folder: Path, tmp_path: Path, kind: str, when: str
) -> None:
    """The token is minted in the master before the fork, during it, or not at all: one mint in all, on disk."""
    server.latency = 0.3
    with gunicorn(server, tmp_path, kind, f"disk:{folder}", when) as address:
        assert {what for _, what in answers(address)} == {"200"}
    assert server.mints == server.token_requests == 1


def test_without_a_shared_cache(server: FakeAuthorizationServer, tmp_path: Path) -> None:
    """During the fork, and nothing shared: every process that needs a token mints its own, once."""
    server.latency = 0.3
    with gunicorn(server, tmp_path, "gevent", "", "during") as address:
        assert {what for _, what in answers(address)} == {"200"}
    assert server.mints <= 3


@pytest.mark.parametrize("kind", WORKERS)
def test_watched_in_the_master(server: FakeAuthorizationServer, folder: Path, tmp_path: Path, kind: str) -> None:
    """The master watches the source: each worker watches it on, though nobody calls the API."""
    server.lifetime = 2
    with gunicorn(server, tmp_path, kind, f"disk:{folder}", "watched") as address:
        server.wait_for_token_requests(3, timeout=20)
        held = dict(answers(address + "/held"))
        server.wait_for_token_requests(len(server.requests) + 1, timeout=20)
        # The others adopt the new token as soon as their own renewal is due, a quarter of a second later at most.
        until = time.monotonic() + 10
        while any(what == held[worker] or not server.is_active(what) for worker, what in answers(address + "/held")):
            assert time.monotonic() < until, "a worker does not watch"
        assert {what for _, what in answers(address)} == {"200"}
