"""gunicorn --preload with threads and with gevent: every worker answers, whenever the first token was minted."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from real_servers.gunicorns import ask_all, gunicorn

from m2m_auth.testing import FakeAuthorizationServer

WORKERS = {"threads": ("--worker-class=gthread", "--threads=4"), "gevent": ("--worker-class=gevent",)}
APP = """
import os, sys, threading
sys.modules["django"] = None  # diskcache imports it, and gevent's patching fails on unconfigured settings
import requests
from m2m_auth.requests import M2MAuth
from m2m_auth.source.token_source import engine_of

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
        held = engine_of(auth.source).state.held
        answer = held.token.value if held else "-"
    else:
        with requests.Session() as session:
            session.auth, session.trust_env = auth, False
            answer = str(session.get(os.environ["API"], timeout=20).status_code)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Connection", "close")])
    return [f"{os.getpid()} {answer}".encode()]
"""


def preloaded(
    server: FakeAuthorizationServer, tmp_path: Path, kind: str, cache: str, when: str
) -> AbstractContextManager[str]:
    """The address of two workers of this kind, which preload the app."""
    (tmp_path / "preloaded_app.py").write_text(APP)
    own = {"ENDPOINT": server.token_endpoint, "API": server.base_url + "/api/x", "CACHE": cache, "WHEN": when}
    options = ("--preload", "--workers=2", *WORKERS[kind])
    return gunicorn("preloaded_app:app", tmp_path / "log", *options, environment=own, folder=tmp_path)


@pytest.mark.parametrize("kind", WORKERS)
@pytest.mark.parametrize("when", ["before", "during", "never"])
def test_every_worker_answers(
    server: FakeAuthorizationServer, folder: Path, tmp_path: Path, kind: str, when: str
) -> None:
    """The token is minted in the master before the fork, during it, or not at all: one mint in all, on disk."""
    server.latency = 0.3
    with preloaded(server, tmp_path, kind, f"disk:{folder}", when) as address:
        assert {what for _, what in ask_all(address, 2)} == {"200"}
    assert server.mints == server.token_requests == 1


def test_without_a_shared_cache(server: FakeAuthorizationServer, tmp_path: Path) -> None:
    """The token is minted during the fork and not shared: every process that needs one mints its own, once."""
    server.latency = 0.3
    with preloaded(server, tmp_path, "gevent", "", "during") as address:
        assert {what for _, what in ask_all(address, 2)} == {"200"}
    assert server.mints <= 3


@pytest.mark.parametrize("kind", WORKERS)
def test_watched_in_the_master(server: FakeAuthorizationServer, folder: Path, tmp_path: Path, kind: str) -> None:
    """The master watches the source: each worker goes on watching, and renews its token though no call asks for it."""
    server.lifetime = 6
    with preloaded(server, tmp_path, kind, f"disk:{folder}", "watched") as address:
        server.wait_for_token_requests(1, timeout=60)
        held = dict(ask_all(address + "/held", 2))
        until = time.monotonic() + 60
        while any(what == held[worker] or not server.is_active(what) for worker, what in ask_all(address + "/held", 2)):
            assert time.monotonic() < until, "a worker does not watch"
        assert {what for _, what in ask_all(address, 2)} == {"200"}
