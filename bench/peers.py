"""m2m-auth and the peers side by side, each on its HTTP library and used as documented."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from tempfile import TemporaryDirectory
from typing import Any

from clients import HARD, OURS, PEERS, Client
from hot import minted
from imports import added
from measure import HERE, batch, child_environment, prepared, ratio, run_process
from processes import warm
from server import Server

THREADS, PROCESSES, LATENCY = 64, 8, 0.3
HEADINGS = ("", "attach", "import", "warm process", f"{THREADS} threads", f"{PROCESSES} processes", "after a 401")


def table(server: Server) -> Iterator[tuple[str, ...]]:
    """The lines of the table; the first are its headings."""
    yield HEADINGS
    for name in (*OURS, *PEERS):
        peer = import_module(f"clients.{name}")
        client = minted(peer, server) if name in OURS else peer.connect(server.url, None)
        if name not in OURS:
            client.call()
        yield (
            f"{peer.TITLE} on {peer.LIBRARY}",
            f"{_attach(server, peer, client):.1f} x",
            f"+{added(peer.IMPORTS, peer.LIBRARY, 5) * 1000:.0f} ms",
            f"{warm(server, name, peer.LIBRARY, 7).cpu:.2f} x" if peer.PERSISTS else "-",
            _mints(_threads(server, name)),
            _mints(_processes(server, name, peer.PERSISTS)),
            _after_401(server, client),  # last: ours does not replace a token that is younger than 5 s
        )


def _mints(count: int) -> str:
    return f"{count} mint{'s' * (count != 1)}"


def _attach(server: Server, peer: Any, client: Client) -> float:
    same = prepared(peer.LIBRARY, 1) * 500
    baseline = import_module(f"clients.{HARD[peer.LIBRARY]}").connect(server.url, None).attach
    if peer.LIBRARY != "requests" and not hasattr(client.auth, "sync_auth_flow"):
        baseline = _set_header  # it has no auth flow: its user sets the header
    return ratio(batch(client.attach, same), batch(baseline, same), 15)


def _set_header(request: Any) -> None:
    request.headers["Authorization"] = "Bearer hard-coded-token-hard-coded-token-hard-cod"


def _after_401(server: Server, client: Client) -> str:
    """The result of a call with a revoked token: whether the client recovers by itself."""
    server.revoke_all()
    try:
        return "recovers" if client.call() == 200 else "fails"
    except Exception as error:
        return type(error).__name__


def _threads(server: Server, name: str) -> int:
    """Mints when the threads of one process make their first call at once."""
    server.mints(LATENCY)
    run_process("crowd.py", name, server.url, str(THREADS))
    return server.mints()


def _processes(server: Server, name: str, persists: bool) -> int:
    """Mints when several processes make their first call at once, with the persistent cache where there is one."""
    with TemporaryDirectory(prefix="m2m-bench-") as folder:
        server.mints(LATENCY)
        arguments = [sys.executable, "call.py", name, server.url, folder if persists else "", "wait"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        processes = [
            subprocess.Popen(arguments, cwd=HERE, env=child_environment(), **pipes)  # type: ignore[call-overload]
            for _ in range(PROCESSES)
        ]
        for process in processes:
            process.stdout.readline()
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            process.communicate()
        if any(process.returncode for process in processes):
            raise RuntimeError(f"{name}: a process failed")
        return server.mints()
