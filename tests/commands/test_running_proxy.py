"""``m2m-auth proxy`` as a process: it serves until a signal ends it."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from command_support import SECRET, TOKEN, exit_code, written

from m2m_auth.testing import FakeAuthorizationServer


class Running:
    """A proxy in another process: ``python -m m2m_auth.commands proxy --port 0``."""

    def __init__(self, config: Path, *words: str) -> None:
        command = [
            sys.executable,
            "-X",
            "dev",
            "-W",
            "error",
            "-m",
            "m2m_auth.commands",
            "proxy",
            "--config",
            str(config),
        ]
        self.process = subprocess.Popen(
            [*command, "--port", "0", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        if not self.line:
            raise RuntimeError(f"the proxy did not start: {self.process.communicate()[1]}")
        self.port = int(self.line.partition("//127.0.0.1:")[2].partition("/")[0] or 0)

    def call(self, method: str, path: str, body: str = "", **headers: str) -> tuple[int, dict[str, str], str]:
        """One request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()

    def token(self, client_id: str, secret: str, **headers: str) -> tuple[int, dict[str, str], str]:
        """A token request."""
        basic = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
        form = "grant_type=client_credentials&audience=https%3A%2F%2Fapi.example"
        kind = "application/x-www-form-urlencoded"
        return self.call("POST", "/oauth/token", form, Authorization=f"Basic {basic}", Content_Type=kind, **headers)

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal; return the exit code and what stderr has."""
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=60)
        return self.process.returncode, err


@pytest.fixture
def upstream() -> Iterator[FakeAuthorizationServer]:
    """An authorization server that knows the proxy."""
    with FakeAuthorizationServer(clients={"proxy": SECRET}) as server:
        yield server


@pytest.fixture
def start(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, upstream: FakeAuthorizationServer
) -> Iterator[Callable[..., Any]]:
    """Starts a proxy with the vendor acme, and returns it with acme's secret."""
    started: list[Running] = []

    def proxy(*words: str) -> tuple[Running, str]:
        config = written(tmp_path, upstream.token_endpoint)
        assert exit_code("proxy", "--config", config, "add-vendor", "acme") == 0
        secret = capsys.readouterr().out.split()[-1]
        started.append(Running(config, *words))
        return started[-1], secret

    yield proxy
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate()


def test_it_runs(start: Callable[..., tuple[Running, str]], upstream: FakeAuthorizationServer) -> None:
    """The first line has the URL; vendors get tokens of one mint; only the operator's token shows the numbers."""
    proxy, secret = start()
    assert proxy.line == f"http://127.0.0.1:{proxy.port}/oauth/token for 1 vendor\n"
    answers = [proxy.token("acme", secret) for _ in range(3)]
    assert [status for status, _, _ in answers] == [200] * 3
    assert len({json.loads(body)["access_token"] for _, _, body in answers}) == 1
    assert upstream.mints == 1
    assert proxy.token("acme", "wrong")[0] == 401
    assert proxy.call("GET", "/operator")[0] == 401
    status, headers, page = proxy.call("GET", "/operator", Authorization=f"Bearer {TOKEN}")
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    assert "Server" not in headers
    assert '<th scope="row">acme</th>' in page
    metrics = proxy.call("GET", "/metrics", Authorization=f"Bearer {TOKEN}")[2]
    assert 'm2m_auth_proxy_outcomes_total{outcome="minted",vendor="acme"} 1.0' in metrics
    assert proxy.call("GET", "/elsewhere")[0] == 404
    code, err = proxy.end(signal.SIGTERM)
    assert (code, "Traceback" in err) == (0, False), err
    assert secret not in err
    assert SECRET not in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly(
    start: Callable[..., tuple[Running, str]], upstream: FakeAuthorizationServer, number: int
) -> None:
    """Ctrl-C and SIGTERM end it with exit code 0, after the request under way has its answer."""
    proxy, secret = start("--threads", "2")
    upstream.latency = 1.0
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(proxy.token, "acme", secret)
        upstream.wait_for_token_requests(1, timeout=20)
        code, err = proxy.end(number)
        assert answer.result(60)[0] == 200
    assert (code, "Traceback" in err, "Warning" in err) == (0, False, False), err
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", proxy.port), timeout=10):
        pass
