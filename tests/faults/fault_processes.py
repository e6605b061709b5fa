"""What the fault-injection tests share: child processes that stop at a given point, and signals to them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from m2m_auth import RenewalPolicy, TokenSource
from m2m_auth.caches.disk.disk_token_cache import DiskTokenCache
from m2m_auth.testing import FakeAuthorizationServer
from m2m_auth.values import as_dict, replace

HERE = Path(__file__).parent
QUICK = RenewalPolicy(lease=2.0, mint_deadline=1.5)
"""Leases of 2 s."""
EARLY = replace(QUICK, window=0.95, margin=0.05, jitter=0.0)
"""The same; and a token is stale after a twentieth of its life, and good for nearly all the rest."""


def changed(policy: RenewalPolicy) -> str:
    """The policy as JSON."""
    return json.dumps(as_dict(policy))


class Process:
    """A Python script in a process of its own: commands go in and JSON comes out, a line each."""

    def __init__(self, script: str, *arguments: str) -> None:
        command = [sys.executable, "-X", "dev", "-W", "error", str(HERE / script), *arguments]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(command, text=True, **pipes)

    def tell(self, command: str) -> None:
        """Sends a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def hear(self, fact: str) -> Any:
        """The next answer, which must be about ``fact``."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the process ended with exit code {self._process.wait()} before it said {fact!r}"
        answer = json.loads(line)
        assert fact in answer, f"{answer} instead of {fact!r}"
        return answer[fact]

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL; returns when it is dead."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


class Child(Process):
    """A process with a token source on a disk cache, which stops at ``point`` (see fault_child.py)."""

    def __init__(
        self, server: FakeAuthorizationServer, folder: Path, point: str = "", policy: RenewalPolicy = QUICK
    ) -> None:
        super().__init__("fault_child.py", server.token_endpoint, str(folder), point, changed(policy))


def source_on(server: FakeAuthorizationServer, folder: Path, policy: RenewalPolicy = QUICK, **more: Any) -> TokenSource:
    """The test process's source on the same disk cache."""
    return TokenSource(server.token_endpoint, "client", "secret", cache=DiskTokenCache(folder), policy=policy, **more)
