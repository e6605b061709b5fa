"""Whole processes: one that finds a sealed token on disk, and one that must mint."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import TemporaryDirectory

from measure import Row, Spent, process_ratios, run_process
from server import Server

PAIRS = 15


def rows(server: Server) -> Iterator[Row]:
    for library in ("requests", "httpx", "httpx2"):
        spent = warm(server, f"ours_{library}", library)
        yield Row(f"{library}: a process with a token on disk", spent.cpu, "x", 1.3, "processor time, 1 call")
        yield Row("  the same, wall clock", spent.wall, "x", 1.3)
    for token_format in ("opaque", "jwt"):
        server.mints(token_format=token_format)
        spent = process_ratios(["call.py", "ours_requests", server.url], ["call.py", "handwritten", server.url], PAIRS)
        goal = 1.1 if token_format == "opaque" else None
        what = "a cold process that mints" if goal else "  with a JWT"
        yield Row(f"{'requests: ' if goal else ''}{what}", spent.cpu, "x", goal, "against requests.post and a header")
        yield Row("  the same, wall clock", spent.wall, "x", goal)
    server.mints()


def warm(server: Server, name: str, library: str, pairs: int = PAIRS) -> Spent:
    """A process that finds its token in a persistent cache, against one with a hard-coded header."""
    with TemporaryDirectory(prefix="m2m-bench-") as folder:
        run_process("call.py", name, server.url, folder)
        server.mints()
        spent = process_ratios(["call.py", name, server.url, folder], ["call.py", f"hard_{library}", server.url], pairs)
        mints = server.mints()
        if mints:
            raise RuntimeError(f"{name} minted {mints} times with a token on disk")
        return spent
