"""Starts the examples' servers one after the other, and ends them together.

To use m2m-auth you need none of this: in production systemd, Docker or your platform starts the services.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

GUNICORN = (sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0")
STARTING, STOPPING = 60, 15
"""Seconds that a server may take to start and to stop."""


class Processes:
    """Servers on free loopback ports. Their data and logs are in a private folder, which is removed at the end."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="m2m-auth-example-"))
        self.secrets = {f"{name}_SECRET": secrets.token_urlsafe() for name in ("SHOP", "ORDERS", "INVENTORY")}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Processes:
        # Both signals end the example in order, also if a shell has started it with Ctrl-C ignored.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        for process in reversed(self._running.values()):
            process.terminate()
        for process in self._running.values():
            _await_end(process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def environment(self, values: dict[str, Any]) -> dict[str, str]:
        """The environment of a process: no proxy, because all is on loopback, and a private token cache."""
        inherited = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        private = {"XDG_CACHE_HOME": self.folder, "XDG_RUNTIME_DIR": self.folder}
        return {**inherited, **{name: str(value) for name, value in {**private, **values}.items()}}

    def start(self, name: str, *command: str, folder: Path, **values: Any) -> str:
        """Start a server in that folder, and return its address when it accepts connections."""
        path = self.folder / f"{name}.log"
        with path.open("wb") as log:
            # A new session: Ctrl-C reaches only this process, and all children of a server can be killed.
            process = subprocess.Popen(
                command, cwd=folder, env=self.environment(values), stdout=log, stderr=log, start_new_session=True
            )
        self._running[name] = process
        until = time.monotonic() + STARTING
        while process.poll() is None and time.monotonic() < until:
            found = re.search(r"http://127\.0\.0\.1:\d+", path.read_text())
            if found and _listens(urlsplit(found[0]).port):
                return found[0]
            time.sleep(0.05)
        raise SystemExit(f"{name} did not start:\n{path.read_text()}")

    def export(self, name: str, values: dict[str, Any]) -> Path:
        """Write these variables to a file, which another terminal can source with ``. file``."""
        path = self.folder / name
        given = {"XDG_CACHE_HOME": self.folder, **values}
        path.write_text("".join(f"export {key}={shlex.quote(str(value))}\n" for key, value in given.items()))
        return path

    def wait(self) -> None:
        """Wait for Ctrl-C. If a server ends by itself, exit with its log."""
        while True:
            for name, process in self._running.items():
                if process.poll() is not None:
                    raise SystemExit(f"{name} has ended:\n{(self.folder / f'{name}.log').read_text()}")
            time.sleep(0.5)


def start_authorization_server(processes: Processes) -> str:
    """django-oauth-toolkit with a new database, ``authorization.sqlite3``."""
    return processes.start(
        "authorization_server",
        *(*GUNICORN, "--threads", "8", f"{__package__}.shop_authorization_server"),
        folder=processes.folder,
        AUTHORIZATION_DATABASE=processes.folder / "authorization.sqlite3",
        **processes.secrets,
    )


def start_inventory(processes: Processes, folder: Path, authorization_server: str) -> str:
    """The inventory of that folder, with two workers."""
    return processes.start(
        "inventory",
        *(*GUNICORN, "--workers", "2", "--threads", "8", "app:app"),
        folder=folder,
        INTROSPECTION_ENDPOINT=f"{authorization_server}/introspect/",
        INVENTORY_SECRET=processes.secrets["INVENTORY_SECRET"],
    )


def _await_end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOPPING)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _listens(port: int | None) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port or 0), 1).close()
    except OSError:
        return False
    return True


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
