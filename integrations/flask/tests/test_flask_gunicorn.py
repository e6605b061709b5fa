"""Flask under gunicorn: real workers that share the default disk cache."""

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

APP = """
import os
import requests
from flask import Flask
from flask_m2m_auth import M2M

m2m = M2M()

def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    m2m.init_app(app)

    @app.get("/")
    def call():
        with requests.Session() as session:
            session.auth, session.trust_env = m2m["billing"].requests_auth(), False
            return f"{os.getpid()} {session.get(os.environ['API'], timeout=20).status_code}"

    if os.environ["WHEN"] == "before":
        with app.app_context():
            m2m["billing"].source.token()
    return app
"""


@contextmanager
def gunicorn(server: FakeAuthorizationServer, folder: Path, *options: str, when: str) -> Iterator[str]:
    """The address of two workers of four threads each, configured from the environment alone."""
    (folder / "factory.py").write_text(APP)
    own = {
        "API": f"{server.base_url}/api/x",
        "WHEN": when,
        "FLASK_M2M_AUTH_CLIENTS__billing__TOKEN_ENDPOINT": server.token_endpoint,
        "FLASK_M2M_AUTH_CLIENTS__billing__CLIENT_ID": "client",
        "FLASK_M2M_AUTH_CLIENTS__billing__CLIENT_SECRET": "secret",
    }
    command = [sys.executable, "-m", "gunicorn", "--workers=2", "--threads=4", "--bind=127.0.0.1:0", *options]
    log = folder / "log"
    with log.open("w+") as output:
        master = subprocess.Popen(
            [*command, "factory:create_app()"], cwd=folder, env={**os.environ, **own}, stdout=output, stderr=output
        )
        try:
            until, address = time.monotonic() + 30, ""
            while not address:
                assert time.monotonic() < until, log.read_text()
                assert master.poll() is None, log.read_text()
                lines = log.read_text().splitlines()
                address = next((line.split()[-2] for line in lines if "Listening at" in line), "")
                time.sleep(0.02)
            yield address
        finally:
            master.send_signal(signal.SIGTERM)
            master.wait(30)


def ask(url: str) -> tuple[str, str]:
    """The worker that answered, and the API's status."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        worker, _, status = answer.read().decode().partition(" ")
        return worker, status


@pytest.mark.parametrize(("options", "when"), [((), "never"), (("--preload",), "before")], ids=["cold", "preloaded"])
def test_two_workers_share_one_token(
    server: FakeAuthorizationServer, tmp_path: Path, options: tuple[str, ...], when: str
) -> None:
    """Without M2M_AUTH_CACHES: both workers answer, eight calls at a time, and there is one mint in all."""
    server.latency = 0.3
    given: list[tuple[str, str]] = []
    with gunicorn(server, tmp_path, *options, when=when) as address, ThreadPoolExecutor(8) as pool:
        until = time.monotonic() + 30
        while len({worker for worker, _ in given}) < 2:
            assert time.monotonic() < until, "one worker took every call"
            given += pool.map(ask, [address] * 16)
    assert {status for _, status in given} == {"200"}
    assert server.mints == server.token_requests == 1
