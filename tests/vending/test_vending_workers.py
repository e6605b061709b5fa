"""A vendor as it is run: four gunicorn workers that share a disk cache."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import requests
from real_servers.gunicorns import gunicorn
from vending_support import PUBLISH, SUBSCRIBE

from m2m_auth.testing import FakeAuthorizationServer

ASKED = [(caller, scope) for caller in ("ada", "bob", "carl") for scope in (SUBSCRIBE, f"{SUBSCRIBE} {PUBLISH}")]


class Given(NamedTuple):
    """The answer to one request."""

    caller: str
    scope: str
    status: int
    token: str | None
    worker: str


class Asking:
    """A client that opens a connection for each request, so that any worker may answer."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __call__(self, asked: tuple[str, str]) -> Given:
        """One page's request."""
        caller, scope = asked
        with requests.Session() as session:
            session.trust_env = False
            headers = {"X-Requested-With": "fetch", "X-Test-User": caller}
            answer = session.post(self._url, {"scope": scope}, headers=headers, timeout=60)
        return Given(caller, scope, answer.status_code, answer.json().get("access_token"), answer.headers["X-Worker"])


@pytest.fixture
def server() -> Iterator[FakeAuthorizationServer]:
    """A slow server, so that several workers need a token during one mint."""
    with FakeAuthorizationServer() as running:
        running.lifetime, running.latency = 3600, 0.3
        yield running


@contextmanager
def four_workers(server: FakeAuthorizationServer, folder: Path, *options: str) -> Iterator[Asking]:
    """A client of four workers with two threads each."""
    where = {"VENDING_ENDPOINT": server.token_endpoint, "VENDING_CACHE": f"disk:{folder}/cache"}
    log, options = folder / "log", ("--workers=4", "--threads=2", *options)
    with gunicorn("vending_app:app()", log, *options, environment=where, folder=Path(__file__).parent) as url:
        yield Asking(url)
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("preload", [False, True])
def test_one_mint_per_caller_and_scope_set_over_four_workers(
    tmp_path: Path, server: FakeAuthorizationServer, preload: bool
) -> None:
    """Three callers, two scope sets each, 96 cold requests at once: six mints and the check's one; no caller has
    another's token. With ``--preload`` the vendor is built, and has minted, before the workers are forked.
    """
    with (
        four_workers(server, tmp_path, *(["--preload"] if preload else [])) as ask,
        ThreadPoolExecutor(16) as pool,
    ):
        given = list(pool.map(ask, ASKED * 16))
        assert Counter(each.status for each in given) == {200: 96}
        assert len({(each.caller, each.scope) for each in given}) == len({each.token for each in given}) == 6
        assert len({each[:4] for each in given}) == 6
        assert len({each.worker for each in given}) > 1
        assert server.mints == 7

        # The disk is wiped: the workers go on with what they hold, count for themselves, and mint for a new caller.
        shutil.rmtree(tmp_path / "cache")
        again = list(pool.map(ask, [*ASKED, ("dora", SUBSCRIBE)]))
        assert Counter(each.status for each in again) == {200: 7}
        assert not {each.token for each in again if each.caller == "dora"} & {each.token for each in given}


def test_four_workers_count_a_caller_together(tmp_path: Path, server: FakeAuthorizationServer) -> None:
    """40 an hour are 40 over all workers (of each hour, if the hour changes during the test)."""
    with four_workers(server, tmp_path) as ask, ThreadPoolExecutor(4) as pool:
        hour = time.time() // 3600
        given = list(pool.map(ask, [("ada", SUBSCRIBE)] * 70))
        statuses = Counter(each.status for each in given)
        assert statuses.keys() == {200, 429}
        if time.time() // 3600 == hour:
            assert statuses[200] == 40
        assert len({each.worker for each in given}) > 1
        assert ask(("bob", SUBSCRIBE)).status == 200
